"""A strip of pictures that shows where a network looks: frames with heat, and what each path brings.

C channels, T frames, H x W pixels
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lgdnet.flow.picture import colour_wheel
from lgdnet.prediction.words import FAINT, INK, PAPER, line_of, wrapped

SIDE = 150  # pixels of the shorter side of a picture in the strip
GAP = 6  # pixels
WORDS = 14  # pixels
FADED = 0.7  # share of the colour that a picture loses below its heat
FOR, AGAINST = np.array((214, 69, 38), np.float32), np.array((38, 96, 196), np.float32)  # red and blue
LOCAL, GLOBAL, CONSTANT = (214, 120, 38), (42, 120, 142), (150, 150, 150)


@dataclass(frozen=True)
class Clip:
    """One clip: pictures that the network saw, one for each frame of its last feature map, and what they bring."""

    when: str  # such as `1.2 s`
    pictures: np.ndarray  # (T, H, W, 3) uint8 RGB
    heat: np.ndarray  # (T, h, w) float32: what each place brings to the logit
    global_: float
    constant: float
    logit: float


def pictures_of(clip: np.ndarray, modality: str, num: int) -> np.ndarray:
    """`num` evenly spaced frames of a clip to look at. (C, T, H, W) uint8, or (1, F, T) of sound -> (num, H, W, 3)"""
    if modality == "audio":
        mel = clip[0, ::-1]  # low tones at the bottom
        grey = np.rint(255 * (mel.clip(-2.5, 2.5) + 2.5) / 5).astype(np.uint8)
        return np.repeat(np.repeat(grey[None, :, :, None], 3, 3), num, 0)
    T = clip.shape[1]
    shown = [(2 * i + 1) * T // (2 * num) for i in range(num)]
    if modality == "flow":
        fields = (clip[:, shown].astype(np.float32) - 128) / 127
        return np.stack([colour_wheel(fields[:, i], 1.0) for i in range(num)])
    return np.ascontiguousarray(clip[:, shown].transpose(1, 2, 3, 0))


def heated(picture: np.ndarray, heat: np.ndarray, strongest: float) -> np.ndarray:
    """A picture at the size of the strip, red where it speaks for the class, blue where against it."""
    h, w = picture.shape[:2]
    size = round(w * SIDE / min(h, w)), round(h * SIDE / min(h, w))
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    shown += FADED * (shown.mean(axis=2, keepdims=True) - shown)  # or heat is lost on what is red itself
    strength = cv2.resize(
        heat.astype(np.float32) / max(strongest, 1e-12), size, interpolation=cv2.INTER_CUBIC
    )
    strength = strength.clip(-1, 1)[..., None]
    alpha = 0.65 * np.abs(strength)
    return np.rint(shown * (1 - alpha) + np.where(strength > 0, FOR, AGAINST) * alpha).astype(np.uint8)


def strip(clips: list[Clip], title: str, notes: list[str], *, largest_map: int = 8) -> np.ndarray:
    """The clips side by side, the strongest one frame by frame below them, words around. -> (H, W, 3) uint8"""
    strongest = max(clips, key=lambda clip: clip.logit)
    summed = [clip.heat.sum(0) for clip in clips]
    most = max(float(np.abs(heat).max()) for heat in summed)
    span = max(max(abs(value) for value in parts(clip)) for clip in clips)
    columns = []
    for clip, heat in zip(clips, summed, strict=True):
        picture = heated(clip.pictures[len(clip.pictures) // 2], heat, most)
        columns.append(
            np.concatenate([small(clip.when, picture), picture, meters(clip, picture.shape[1], span)])
        )
    rows = [beside(columns)]
    if len(strongest.heat) > 1:
        shown = np.unique(np.linspace(0, len(strongest.heat) - 1, largest_map).round().astype(int))
        each = float(np.abs(strongest.heat).max())
        frames = [heated(strongest.pictures[t], strongest.heat[t], each) for t in shown]
        rows.append(beside(frames))
    width = max(max(row.shape[1] for row in rows), 560)
    words = [line_of(line, width, WORDS + 2) for line in wrapped(title, width, WORDS + 2)]
    below = [line_of(line, width, WORDS) for note in notes for line in wrapped(note, width, WORDS)]
    inside = (
        [line_of(f"the strongest clip, {strongest.when}, frame by frame", width, WORDS)] if rows[1:] else []
    )
    parts_shown = [*words, wide(rows[0], width), *inside, *(wide(row, width) for row in rows[1:]), *below]
    return np.concatenate(parts_shown)


def parts(clip: Clip) -> tuple[float, float, float]:
    """What the local path, the global path and the constant bring."""
    return float(clip.heat.sum()), clip.global_, clip.constant


def meters(clip: Clip, width: int, span: float) -> np.ndarray:
    """Three bars from the middle, right for the class and left against it: local, global, constant."""
    picture = np.full((3 * 16 + 4, width, 3), PAPER, np.uint8)
    middle = width // 2
    picture[:, middle] = FAINT
    for i, (value, colour) in enumerate(zip(parts(clip), (LOCAL, GLOBAL, CONSTANT), strict=True)):
        end = middle + round(value / max(span, 1e-12) * (middle - 4))
        left, right = sorted((middle, end))
        picture[4 + 16 * i : 14 + 16 * i, left : right + 1] = colour
        number = line_of(f"{value:+.2f}", 56, 10, colour=INK)[: 16 - 2]
        place = slice(0, 56) if value > 0 else slice(width - 56, width)
        picture[3 + 16 * i : 3 + 16 * i + len(number), place] = number
    return picture


def small(text: str, below: np.ndarray) -> np.ndarray:
    return line_of(text, below.shape[1], 12)


def beside(columns: list[np.ndarray]) -> np.ndarray:
    """Pictures of one height with gaps between them."""
    gap = np.full((len(columns[0]), GAP, 3), PAPER, np.uint8)
    return np.concatenate([part for column in columns for part in (column, gap)], axis=1)


def wide(row: np.ndarray, width: int) -> np.ndarray:
    """Paper on the right, up to a width."""
    return np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=PAPER[0])
