"""Settings of the flow stage."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from lgdnet.settings.base import Settings

SMALLEST_BOUND, LARGEST_BOUND = 0.1, 1000.0  # pixels; beyond them 8 bit hold nothing but noise, or nothing


class FlowSettings(Settings):
    """How optical flow is computed and kept, once for all flow streams."""

    algorithm: Literal["auto", "tvl1", "dis", "farneback", "dual_tvl1"] = "auto"
    """`auto` is tvl1 on a GPU and dis on a CPU; name one where both kinds of machines work on one challenge."""
    short_side: PositiveInt = 256
    """Frames are decoded to this short side, pixels; motions are in these pixels."""
    bound: Annotated[float, Field(ge=SMALLEST_BOUND, le=LARGEST_BOUND)] = 20.0
    """Motions beyond this, in pixels per frame, are clipped; 8 bit reach from -bound to bound."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """Of the JPEGs."""
    parameters: dict[str, int | float | str] = {}
    """What the algorithm is told beside its defaults: `num_warps: 3`."""
