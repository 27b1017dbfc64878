"""Spatial windows, cut and scaled on the processor, because every video has its own shape."""

import cv2
import numpy as np

from lgdnet.clips import Box

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
