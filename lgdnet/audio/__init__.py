"""The sound of a video: reading it, log-mel frames, their file, and segments beside the clips."""
