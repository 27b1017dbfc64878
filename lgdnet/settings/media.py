"""How videos are made ready for quick reading: transcoded, or decoded into a cache."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from lgdnet.settings.base import Settings


class MediaSettings(Settings):
    """Transcoding of the videos before anything else reads them: smaller, with keyframes close together."""

    enabled: bool = False
    """Off, all stages read the videos as they are."""
    short_side: PositiveInt = 256
    """Pixels; smaller videos keep their size."""
    keyframe_every: PositiveInt = 16
    """Frames from one keyframe to the next."""
    fps: PositiveFloat | None = None
    """Constant frame rate; empty keeps every frame and its time."""
    crf: NonNegativeInt = 20
    """Quality of x264: larger is smaller and worse, 18 is near the eye's limit."""
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "veryfast"
    """Speed of x264."""
    timeout_sec: PositiveFloat = 600
    """A file that takes longer is an error."""
    reader: Literal["auto", "pyav", "decord"] = "auto"
    """As `manifest: reader`, for the transcoded files."""


class CacheSettings(Settings):
    """Decoded frames kept as JPEG in a few files, for small clusters and slow disks."""

    short_side: PositiveInt = 128
    """Pixels."""
    quality: PositiveInt = 92
    """Of JPEG, up to 100."""
