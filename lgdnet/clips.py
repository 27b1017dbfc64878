"""Which frames and which pixels a clip consists of: arithmetic only, no files.

T frames per clip; a clip with stride s spans (T - 1) * s + 1 frames of the video. A video shorter than
that starts again at its first frame (it loops), as often as needed.
"""

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A spatial window in pixels: rows top to top + height, columns left to left + width."""

    top: int
    left: int
    height: int
    width: int


def clip_span(clip_length: int, frame_stride: int = 1) -> int:
    """Frames of the video between the first and the last frame of a clip, both included."""
    return (clip_length - 1) * frame_stride + 1


def last_start(num_video_frames: int, *, clip_length: int, frame_stride: int = 1) -> int:
    """The last frame where a clip can start without looping; 0 when the video is too short."""
    return max(num_video_frames - clip_span(clip_length, frame_stride), 0)


def clip_starts(
    num_video_frames: int, *, num_clips: int, clip_length: int, frame_stride: int = 1, draw: int = 0
) -> list[int]:
    """First frames of clips centred in `num_clips` equal segments; all 0 when the video is too short.

    Further draws put the clips elsewhere in their segments: a quarter, three quarters, an eighth, ...
    Integers only, halves round up, so that every machine agrees.
    """
    last = last_start(num_video_frames, clip_length=clip_length, frame_stride=frame_stride)
    part, parts = place_of_draw(draw)
    half, whole = num_clips * parts, 2 * num_clips * parts
    return [(2 * (i * parts + part) * last + half) // whole for i in range(num_clips)]


def place_of_draw(draw: int) -> tuple[int, int]:
    """Where in its segment a clip lies, as a fraction: 1/2, 1/4, 3/4, 1/8, 5/8, ... (van der Corput)."""
    digits = bin(draw + 1)[2:]
    return int(digits[::-1], 2), 2 ** len(digits)


def random_clip_start(
    num_video_frames: int, *, clip_length: int, frame_stride: int = 1, generator: np.random.Generator
) -> int:
    """A first frame drawn evenly from all that fit; 0 when the video is too short."""
    last = last_start(num_video_frames, clip_length=clip_length, frame_stride=frame_stride)
    return int(generator.integers(last + 1))


def frame_indices(
    start: int, *, clip_length: int, frame_stride: int = 1, num_video_frames: int
) -> np.ndarray:
    """Frame numbers of one clip, looping past the end of the video. -> (T,) int64"""
    return (start + np.arange(clip_length, dtype=np.int64) * frame_stride) % num_video_frames


def segment_frames(
    num_video_frames: int,
    *,
    num_segments: int,
    generator: np.random.Generator | None = None,
    offset: float = 0.5,
) -> np.ndarray:
    """TSN sampling: one frame per equal segment, drawn with a generator, else `offset` into it. -> (T,) int64

    Frames repeat where there are fewer frames than segments (Wang et al., Temporal Segment Networks, 2016).
    """
    edges = np.arange(num_segments + 1) * num_video_frames / num_segments
    if generator is None:
        positions = edges[:-1] + offset * (edges[1:] - edges[:-1])
    else:
        positions = edges[:-1] + generator.random(num_segments) * (edges[1:] - edges[:-1])
    return np.minimum(positions.astype(np.int64), num_video_frames - 1)


def scaled_size(height: int, width: int, *, short_side: int | None) -> tuple[int, int]:
    """Height and width after scaling the shorter side to `short_side`, aspect ratio kept; None keeps both."""
    if short_side is None:
        return height, width
    if height <= width:
        return short_side, max(round(width * short_side / height), short_side)
    return max(round(height * short_side / width), short_side), short_side


def centre_crop(height: int, width: int, *, size: int) -> Box:
    """The size x size window in the middle."""
    return Box((height - size) // 2, (width - size) // 2, size, size)


def three_crops(height: int, width: int, *, size: int) -> list[Box]:
    """Windows at the beginning, middle and end of the longer side, in the middle of the shorter one."""
    top, left = (height - size) // 2, (width - size) // 2
    if width >= height:
        return [Box(top, 0, size, size), Box(top, left, size, size), Box(top, width - size, size, size)]
    return [Box(0, left, size, size), Box(top, left, size, size), Box(height - size, left, size, size)]


def crop_boxes(height: int, width: int, *, size: int, num_crops: int) -> list[Box]:
    """One centre crop, or three along the longer side."""
    return (
        three_crops(height, width, size=size) if num_crops == 3 else [centre_crop(height, width, size=size)]
    )


def random_crop_box(
    height: int,
    width: int,
    *,
    generator: np.random.Generator,
    area: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Inception's random window: share of the area drawn evenly, width / height drawn evenly in its
    logarithm.

    After ten draws that do not fit, the largest window in the middle whose ratio is allowed.
    """
    for _ in range(10):
        target = height * width * generator.uniform(*area)
        aspect = float(np.exp(generator.uniform(np.log(ratio[0]), np.log(ratio[1]))))
        w, h = round((target * aspect) ** 0.5), round((target / aspect) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            top = int(generator.integers(height - h + 1))
            left = int(generator.integers(width - w + 1))
            return Box(top, left, h, w)
    w = min(width, max(round(height * ratio[1]), 1))
    h = min(height, max(round(width / ratio[0]), 1))
    return Box((height - h) // 2, (width - w) // 2, h, w)
