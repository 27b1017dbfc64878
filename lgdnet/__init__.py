"""A whole trimmed-action-recognition challenge as one workflow: frames, optical flow and sound."""

__version__ = "0.1.0"
