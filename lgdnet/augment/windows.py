"""Spatial windows, cut and scaled on the processor, because every video has its own shape."""

import cv2
import numpy as np

from lgdnet.clips import Box, scaled_size

# C channels, T frames, H x W pixels


def crop_and_resize(frames: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The same window of every frame, scaled. (T, H, W, C) uint8 -> (C, T, size, size) uint8

    Shrinking averages the area, enlarging is linear.
    """
    window = frames[:, box.top : box.top + box.height, box.left : box.left + box.width]
    interpolation = cv2.INTER_AREA if min(box.height, box.width) >= size else cv2.INTER_LINEAR
    scaled = [cv2.resize(frame, (size, size), interpolation=interpolation) for frame in window]
    clip = np.stack(scaled).reshape(len(scaled), size, size, -1)  # OpenCV drops a channel axis of one
    return np.ascontiguousarray(clip.transpose(3, 0, 1, 2))


def resized(frames: np.ndarray, short_side: int | None) -> np.ndarray:
    """Whole frames with another short side; None, or the side they have, leaves them. (T, H, W, C) uint8"""
    H, W = frames.shape[1:3]
    if short_side in (None, min(H, W)):
        return frames
    height, width = scaled_size(H, W, short_side=short_side)
    interpolation = cv2.INTER_AREA if height < H else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (width, height), interpolation=interpolation) for frame in frames])
