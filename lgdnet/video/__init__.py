"""Videos: what is in a file (`probe`), and exactly the frames asked for (`read_frames`, `iterate_frames`)."""

from lgdnet.video.probe import Probe, probe
from lgdnet.video.reader import VideoError, iterate_frames, read_frames

__all__ = ["Probe", "VideoError", "iterate_frames", "probe", "read_frames"]
