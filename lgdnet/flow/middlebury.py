"""Ground truth of flow benchmarks: the .flo format, and the error against it."""

from pathlib import Path

import numpy as np

from lgdnet.flow.errors import FlowError

MAGIC = np.float32(202021.25).tobytes()  # "PIEH"


def read_flo(path: Path) -> np.ndarray:
    """A Middlebury .flo file. -> (2, H, W) float32 pixels, x then y"""
    content = path.read_bytes()
    if content[:4] != MAGIC or len(content) < 12:
        raise FlowError(f"{path}: not a .flo file (it does not begin with PIEH)")
    W, H = np.frombuffer(content, "<i4", 2, 4)
    if len(content) != 12 + 8 * H * W:
        raise FlowError(
            f"{path}: {len(content)} bytes, but {W} x {H} pixels need {12 + 8 * H * W}; truncated?"
        )
    return np.frombuffer(content, "<f4", offset=12).reshape(H, W, 2).transpose(2, 0, 1).copy()


def write_flo(path: Path, flow: np.ndarray) -> None:
    """(2, H, W) float32 pixels, x then y"""
    size = np.array((flow.shape[2], flow.shape[1]), "<i4")
    path.write_bytes(MAGIC + size.tobytes() + flow.transpose(1, 2, 0).astype("<f4").tobytes())


def end_point_error(flow: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in pixels between two fields. (..., 2, H, W) twice"""
    return float(np.sqrt(np.square(flow - truth).sum(axis=-3)).mean())
