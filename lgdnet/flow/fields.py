"""A flow field in 8 bit, and as a JPEG. H x W pixels, fields as (..., 2, H, W), x then y."""

import cv2
import numpy as np

from lgdnet.flow.errors import FlowError
from lgdnet.settings.flow import LARGEST_BOUND, SMALLEST_BOUND

ZERO = 128  # the grey level of no motion
LEVELS = 127  # grey levels from no motion to the bound


def quantise(flow: np.ndarray, bound: float) -> np.ndarray:
    """128 + round(f * 127 / bound), clipped to 1-255. (..., 2, H, W) float32 pixels -> uint8

    Zero stays exactly zero, and f and -f are equally far from it. The usual (f + bound) * 255 / (2 bound) puts
    zero between two levels and so adds a motion of bound / 255 everywhere. The error is at most bound / 254
    inside the bound.
    """
    if not SMALLEST_BOUND <= bound <= LARGEST_BOUND:
        raise FlowError(
            f"flow: bound must be {SMALLEST_BOUND:g} to {LARGEST_BOUND:g} pixels, not {bound:g}. Set flow: bound."
        )
    if not np.isfinite(flow).all():
        raise FlowError("flow: a field has motions that are no numbers. Choose other flow: parameters.")
    levels = flow.clip(-bound, bound) * np.float32(LEVELS / bound)
    return (np.rint(levels) + ZERO).astype(np.uint8)


def dequantise(levels: np.ndarray, bound: float) -> np.ndarray:
    """(..., 2, H, W) uint8 -> float32 pixels"""
    return (levels.astype(np.float32) - ZERO) * np.float32(bound / LEVELS)


def encode_field(levels: np.ndarray, quality: int = 90) -> bytes:
    """One field as a grey JPEG, x above y. (2, H, W) uint8 -> bytes"""
    done, jpeg = cv2.imencode(
        ".jpg", levels.reshape(-1, levels.shape[-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    assert done, "OpenCV could not encode a JPEG"
    return jpeg.tobytes()


def decode_field(jpeg: bytes | np.ndarray, source: str = "flow") -> np.ndarray:
    """JPEG -> (2, H, W) uint8; bytes that are no such JPEG are a FlowError that names `source`."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None or image.shape[0] % 2:
        raise FlowError(f"{source}: a flow field does not decode. Delete the file and run `snakemake flow`.")
    return image.reshape(2, image.shape[0] // 2, image.shape[1])
