"""How FFmpeg is told of a file."""

import os
from pathlib import Path


def name_for_ffmpeg(path: Path | str) -> str:
    """The absolute path: in `12:30.mp4` alone, what stands before the colon is taken for a protocol."""
    return os.path.abspath(path)  # noqa: PTH100
