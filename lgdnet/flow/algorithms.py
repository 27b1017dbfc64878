"""The flow algorithms in one table. N frame pairs, H x W pixels"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lgdnet.flow.errors import FlowError
from lgdnet.flow.opencv import dis, dual_tvl1, farneback
from lgdnet.flow.parameters import (
    SMALLEST_SIDE,
    DISParameters,
    DualTVL1Parameters,
    FarnebackParameters,
    TVL1Parameters,
    with_changes,
)

# Pairs go through TV-L1 in batches of this many pixels: large enough that launching a step costs little beside
# the step, small enough for the memory of any current card (about 120 bytes per pixel).
PIXELS_PER_BATCH = {"cpu": 700_000, "cuda": 25_000_000}


@dataclass(frozen=True)
class Algorithm:
    """`compute(first, second, parameters, device)`: (N, H, W) uint8 twice -> (N, 2, H, W) float32 pixels."""

    compute: Callable[[np.ndarray, np.ndarray, Any, str], np.ndarray]
    parameters: type
    on_gpu: bool = False


def tvl1_in_batches(
    first: np.ndarray, second: np.ndarray, parameters: TVL1Parameters, device: str
) -> np.ndarray:
    """`lgdnet.flow.tvl1`, as many pairs at once as suits the device."""
    import torch  # here, so that workers that run OpenCV's algorithms never load it

    from lgdnet.flow.tvl1 import tvl1

    flow = np.empty((len(first), 2, *first.shape[1:]), np.float32)
    for part in batches_of(first.shape, PIXELS_PER_BATCH[torch.device(device).type]):
        a, b = (torch.from_numpy(np.ascontiguousarray(x[part])).to(device) for x in (first, second))
        flow[part] = tvl1(a, b, parameters).cpu().numpy()
    return flow


def batches_of(shape: tuple[int, ...], pixels: int) -> Iterator[slice]:
    """Equal parts of N pairs, each of about `pixels` pixels at most. shape: (N, H, W)"""
    N, H, W = shape
    num_parts = -(-N * H * W // pixels)
    for i in range(num_parts):
        yield slice(N * i // num_parts, N * (i + 1) // num_parts)


def on_cpu(compute: Callable[[np.ndarray, np.ndarray, Any], np.ndarray]) -> Callable[..., np.ndarray]:
    """An algorithm that knows no devices, in the table's form."""

    def ignoring_device(first: np.ndarray, second: np.ndarray, parameters: Any, device: str) -> np.ndarray:
        return compute(first, second, parameters)

    return ignoring_device


ALGORITHMS = {
    "tvl1": Algorithm(tvl1_in_batches, TVL1Parameters, on_gpu=True),
    "dis": Algorithm(on_cpu(dis), DISParameters),
    "farneback": Algorithm(on_cpu(farneback), FarnebackParameters),
    "dual_tvl1": Algorithm(on_cpu(dual_tvl1), DualTVL1Parameters),
}


def default_algorithm(device: str) -> str:
    """The most accurate where it is fast, else the fastest that is good enough."""
    return "tvl1" if device.startswith("cuda") else "dis"


def all_parameters(algorithm: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of an algorithm, defaults and changes: what a flow file records."""
    return asdict(with_changes(known(algorithm).parameters, changes))


def known(algorithm: str) -> Algorithm:
    """A row of the table, or a FlowError that lists them."""
    if algorithm not in ALGORITHMS:
        raise FlowError(f"flow: no algorithm is called {algorithm!r}; there are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[algorithm]


def compute_flow(
    algorithm: str,
    frames: np.ndarray,
    *,
    parameters: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """Flow between consecutive frames of one video. (T, H, W) uint8 grey -> (T - 1, 2, H, W) float32 pixels, x then y"""
    if len(frames) < 2:
        raise FlowError(
            f"flow needs two frames, this video has {len(frames)}; leave it out of the annotations"
        )
    return compute_pairs(algorithm, frames[:-1], frames[1:], parameters=parameters, device=device)


def compute_pairs(
    algorithm: str,
    first: np.ndarray,
    second: np.ndarray,
    *,
    parameters: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """Flow of any pairs of one size. (N, H, W) uint8 grey twice -> (N, 2, H, W) float32 pixels, x then y"""
    row = known(algorithm)
    if min(first.shape[1:]) < SMALLEST_SIDE:
        H, W = first.shape[1:]
        raise FlowError(
            f"flow needs pictures of at least {SMALLEST_SIDE} pixels a side, these have {H} x {W}"
        )
    return row.compute(first, second, with_changes(row.parameters, parameters or {}), device)
