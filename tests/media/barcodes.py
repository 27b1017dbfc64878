"""Videos made on the spot whose frames carry their own number, so that a test knows which frame it got."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS = 12  # numbers up to 4095, in a grid of 3 x 4 black and white blocks


def barcode(number: int, height: int = 96, width: int = 128) -> np.ndarray:
    """(H, W, 3) uint8: a grey border, and one block per bit."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for bit, (y, x) in enumerate(np.ndindex(3, 4)):
        colour = 235 if number >> bit & 1 else 20
        frame[
            height * (1 + 4 * y) // 13 : height * (4 + 4 * y) // 13,
            width * (1 + 4 * x) // 17 : width * (4 + 4 * x) // 17,
        ] = colour
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that a frame of any size carries; -1 where a block is neither black nor white."""
    height, width = frame.shape[:2]
    number = 0
    for bit, (y, x) in enumerate(np.ndindex(3, 4)):
        top, left = height * (2.5 + 4 * y) / 13, width * (2.5 + 4 * x) / 17
        h, w = max(int(height / 13), 1), max(int(width / 17), 1)
        block = frame[int(top - h / 2) : int(top - h / 2) + h, int(left - w / 2) : int(left - w / 2) + w]
        value = float(block.mean())
        if 80 < value < 175:
            return -1
        number |= int(value >= 175) << bit
    return number


def write_video(
    path: Path,
    num_frames: int = 60,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (96, 128),
    rate: Fraction | int = 25,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    time_stamps: Sequence[int] | None = None,
    rotation: int = 0,
    keyframe_every: int = 12,
    b_frames: int | None = None,
    with_audio: bool = False,
    first_number: int = 0,
) -> Path:
    """Write frames numbered from `first_number`. `time_stamps` counts in frames at `rate` (variable rate)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = keyframe_every
        stream.codec_context.thread_count = 1
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        if rotation:
            stream.set_display_rotation(rotation)
        sound: Any = container.add_stream("aac", rate=16000, layout="mono") if with_audio else None
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(barcode(first_number + i, *size), format="rgb24")
            frame.pts = time_stamps[i] if time_stamps is not None else i
            frame.time_base = 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            write_tone(container, sound, seconds=num_frames / float(rate))
    return path


def write_tone(container: Any, stream: Any, *, seconds: float) -> None:
    """440 Hz, mono, 16 kHz."""
    num_samples = int(seconds * 16000)
    wave = (np.sin(np.arange(num_samples) * 2 * np.pi * 440 / 16000) * 0.2).astype(np.float32)
    for first in range(0, num_samples - 1023, 1024):
        block = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], format="fltp", layout="mono")
        block.sample_rate, block.pts = 16000, first
        block.time_base = Fraction(1, 16000)
        container.mux(stream.encode(block))
    container.mux(stream.encode(None))
