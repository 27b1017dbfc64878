"""Flow to look at: hue is the direction, strength of colour the speed, white is rest. H x W pixels"""

import cv2
import numpy as np

LABEL_HEIGHT = 16  # pixels


def colour_wheel(flow: np.ndarray, bound: float) -> np.ndarray:
    """(2, H, W) float pixels -> (H, W, 3) uint8 RGB

    Right is red, down yellow-green, left cyan, up violet, a full turn of the hue circle. Speeds from 0 to
    `bound` go from white to the full colour; faster ones are darker.
    """
    u, v = flow
    speed = np.hypot(u, v) / bound
    hue = np.arctan2(v, u) % (2 * np.pi) * (180 / np.pi)
    saturation = speed.clip(0, 1)
    value = np.where(speed > 1, 0.75, 1.0)
    hsv = np.stack((hue, saturation, value), -1).astype(np.float32)
    return np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).astype(np.uint8)


def wheel(size: int) -> np.ndarray:
    """The key: the colour of every direction and speed in a disc on white. (size, size, 3) uint8 RGB"""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    picture = colour_wheel(np.stack((u, v)), 1.0)
    picture[np.hypot(u, v) > 1] = 255
    return picture


def beside(frame: np.ndarray, field: np.ndarray, bound: float) -> np.ndarray:
    """A frame and its flow, side by side, with the wheel in the corner. (H, W, 3), (2, H, W) -> (H, 2 W, 3) uint8"""
    colours = colour_wheel(field, bound)
    size = max(min(colours.shape[:2]) // 5, 8)
    corner = colours[-size:, -size:]
    key = wheel(size)
    corner[:] = np.where(disc(size)[..., None], key, corner)
    return np.concatenate((frame, colours), axis=1)


def disc(size: int) -> np.ndarray:
    """(size, size) bool"""
    axis = np.linspace(-1, 1, size)
    return np.hypot(*np.meshgrid(axis, axis)) <= 1


def strip(frames: np.ndarray, fields: np.ndarray, bound: float, *, num_columns: int = 8) -> np.ndarray:
    """Frames above their flow, evenly spaced over the video. (T, H, W, 3), (T - 1, 2, H, W) -> (2 H + label, ..., 3)"""
    shown = np.unique(np.linspace(0, len(fields) - 1, min(num_columns, len(fields))).round().astype(int))
    columns = []
    for i in shown:
        label = np.full((LABEL_HEIGHT, frames.shape[2], 3), 255, np.uint8)
        cv2.putText(label, f"frame {i}", (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        columns.append(np.concatenate((label, frames[i], colour_wheel(fields[i], bound))))
    picture = np.concatenate(columns, axis=1)
    size = max(min(frames.shape[1:3]) // 4, 8)
    corner = picture[-size:, -size:]
    corner[:] = np.where(disc(size)[..., None], wheel(size), corner)
    return picture
