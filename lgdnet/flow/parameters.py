"""What each flow algorithm can be told. No heavy imports: decoding workers read this too."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from lgdnet.flow.errors import FlowError

SMALLEST_SIDE = 16  # pixels; smaller pictures are refused, and coarser scales of a pyramid left out


@dataclass(frozen=True)
class TVL1Parameters:
    """OpenCV's defaults but for the stop: always `num_medians` x `num_iterations` per warp, which suits batches."""

    num_scales: int = 5
    scale_step: float = 0.8
    num_warps: int = 5
    num_medians: int = 1  # OpenCV's outerIterations: a 5x5 median, then `num_iterations`, this many times
    num_iterations: int = 30
    lambda_: float = 0.15  # weight of the data term
    theta: float = 0.3  # tightness of u = v
    tau: float = 0.25  # time step of the dual update


@dataclass(frozen=True)
class DISParameters:
    """Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016."""

    preset: str = "medium"  # ultrafast, fast, medium


@dataclass(frozen=True)
class FarnebackParameters:
    """Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003; OpenCV's usual values."""

    pyramid_scale: float = 0.5
    num_scales: int = 3
    window: int = 15
    num_iterations: int = 3
    poly_n: int = 5
    poly_sigma: float = 1.2


@dataclass(frozen=True)
class DualTVL1Parameters:
    """OpenCV's own TV-L1, with its names and defaults; `epsilon` 0 switches its early stop off."""

    num_scales: int = 5
    scale_step: float = 0.8
    num_warps: int = 5
    num_medians: int = 10  # outerIterations
    num_iterations: int = 30
    lambda_: float = 0.15
    theta: float = 0.3
    tau: float = 0.25
    epsilon: float = 0.01


P = TypeVar("P", TVL1Parameters, DISParameters, FarnebackParameters, DualTVL1Parameters)


def with_changes(kind: type[P], changes: Mapping[str, Any]) -> P:
    """The defaults of one algorithm with some values changed; unknown names and wrong types are a FlowError."""
    defaults = asdict(kind())
    for name, value in changes.items():
        if name not in defaults:
            close = get_close_matches(name, defaults, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(defaults)}"
            raise FlowError(f"flow: parameters: unknown name {name!r}; {hint}")
        expected = type(defaults[name])
        fits = isinstance(value, expected) or (expected is float and isinstance(value, int))
        if not fits or isinstance(value, bool) or (not isinstance(value, str) and value < 0):
            raise FlowError(
                f"flow: parameters: {name} must be a {expected.__name__} of at least 0, not {value!r}"
            )
    types = {field.name: type(getattr(kind(), field.name)) for field in fields(kind)}
    return kind(**{name: types[name](value) for name, value in changes.items()})
