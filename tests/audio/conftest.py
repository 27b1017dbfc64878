"""Small media files with sound, made on the spot."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

PICTURE_TICKS = 12_000  # per second


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def tone(duration_sec: float, *, rate: int = 16_000, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """(samples,) float32 sine."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(duration_sec * rate)) / rate)).astype(np.float32)


def write_media(
    path: Path,
    sound: np.ndarray | None = None,
    *,
    rate: int = 16_000,
    codec: str = "pcm_s16le",
    layout: str | None = None,
    sound_start_sec: float = 0.0,
    pictures: np.ndarray | None = None,
    fps: int = 25,
    pictures_start_sec: float = 0.0,
    jumps: dict[int, float] | None = None,
    picture_times_sec: np.ndarray | None = None,
) -> Path:
    """A file with sound, (samples,) or (samples, channels), and pictures (T, H, W, 3) uint8, each optional.

    `picture_times_sec`: when each picture is shown, where that is not regular.
    `jumps`: {sample: seconds} moves everything from that sample on later (earlier if negative) in time.
    """
    with av.open(str(path), "w") as container:
        streams = []
        if pictures is not None:
            video = container.add_stream("libx264", rate=fps, options={"crf": "10", "preset": "ultrafast"})
            video.height, video.width = pictures.shape[1:3]
            video.pix_fmt = "yuv420p"
            times_sec = pictures_start_sec + np.arange(len(pictures)) / fps
            if picture_times_sec is not None:
                video.codec_context.time_base = Fraction(1, PICTURE_TICKS)
                times_sec = picture_times_sec
            streams.append((video, picture_frames(pictures, times_sec)))
        if sound is not None:
            channels = 1 if sound.ndim == 1 else sound.shape[1]
            audio = container.add_stream(
                codec, rate=rate, layout=layout or {1: "mono", 2: "stereo"}[channels]
            )
            streams.append((audio, sound_frames(audio, sound, rate, sound_start_sec, jumps or {})))
        container.start_encoding()  # writes the header, also where nothing follows
        for stream, frames in streams:
            for frame in frames:
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def picture_frames(pictures, times_sec):
    for picture, time_sec in zip(pictures, times_sec, strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(time_sec * PICTURE_TICKS), Fraction(1, PICTURE_TICKS)
        yield frame


def sound_frames(stream, sound, rate, start_sec, jumps):
    packed = np.ascontiguousarray(sound[:, None] if sound.ndim == 1 else sound, np.float32)
    format = stream.codec_context.format.name
    step = stream.codec_context.frame_size or 1024
    for start in range(0, len(packed), step):
        part = packed[start : start + step]
        if format.startswith("s16"):
            part = np.round(np.clip(part, -1, 1) * 32767).astype(np.int16)
        elif format.startswith("s32"):
            part = np.round(np.clip(part, -1, 1).astype(np.float64) * (2**31 - 1)).astype(np.int32)
        array = np.ascontiguousarray(part.T) if format.endswith("p") else part.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(array, format=format, layout=stream.layout.name)
        late_sec = start_sec + sum(sec for sample, sec in jumps.items() if start >= sample)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = start + round(late_sec * rate)
        yield frame


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """`make("name.wav", sound, ...)`: `write_media` into the test's own folder."""
    return lambda name, *args, **kwargs: write_media(tmp_path / name, *args, **kwargs)
