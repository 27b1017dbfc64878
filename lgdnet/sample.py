"""The sample challenge: small labelled videos with sound, drawn from a seed, with nothing to download.

Ten classes in five pairs, each pair told apart by one thing only, so that no single stream can solve all:
appearance (a still frame will do), direction and kind of motion (flow), order in time (the sequence of
clips) and sound. Everything else about a video (colours, texture, place, speed, the rest of the sound) is
drawn at random from the same distribution for both classes of a pair. The pairs sound different, as scenes
do: sound tells which pair a video belongs to, and only of one pair which class.

Notation: T frames, H x W pixels, S sound samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.random import Generator

HEIGHT, WIDTH = 72, 96
FPS = 16
NUM_FRAMES = 48
SAMPLE_RATE = 16_000
# Without mbtree: with it, x264's bytes differ from run to run on some processors.
X264 = {"crf": "20", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}


@dataclass(frozen=True)
class Kind:
    """What is drawn and heard for one class."""

    shape: str
    motion: str
    sound: str


CLASSES: dict[str, Kind] = {
    "disc drifting": Kind("disc", "drift", "rustle"),
    "stripes drifting": Kind("stripes", "drift", "rustle"),
    "speckles going left": Kind("speckles", "left", "whistle"),
    "speckles going right": Kind("speckles", "right", "whistle"),
    "ring bouncing": Kind("ring", "bounce", "ticking"),
    "ring growing": Kind("ring", "grow", "ticking"),
    "ring bouncing then growing": Kind("ring", "bounce-grow", "hum"),
    "ring growing then bouncing": Kind("ring", "grow-bounce", "hum"),
    "bell ringing high": Kind("bell", "swing", "high"),
    "bell ringing low": Kind("bell", "swing", "low"),
}


@dataclass(frozen=True)
class Pose:
    """Where the object is in one frame: centre and size in units of the frame's height, angle in radians."""

    x: float
    y: float
    size: float
    angle: float


# --- motion: time in [0, 1) of the video to a pose ---------------------------------------------------------


def poses(motion: str, generator: Generator) -> list[Pose]:
    """One pose per frame of a video. Speed, place, phase and size are random; the kind of motion is not."""
    aspect = WIDTH / HEIGHT
    size = generator.uniform(0.16, 0.24)
    phase = generator.uniform(0, 2 * np.pi)
    x0, y0 = generator.uniform(0.35, aspect - 0.35), generator.uniform(0.35, 0.65)
    times = np.arange(NUM_FRAMES) / NUM_FRAMES
    if motion == "drift":
        heading, speed = generator.uniform(0, 2 * np.pi), generator.uniform(0.2, 0.5)
        offset = speed * (times - 0.5)
        return [Pose(x0 + o * np.cos(heading), y0 + o * np.sin(heading), size, phase) for o in offset]
    if motion in ("left", "right"):
        sign = 1 if motion == "right" else -1
        travelled = sign * generator.uniform(1.2, 2.0) * times + generator.uniform(0, aspect)
        # It comes back on the other side, so that where it is never tells the direction.
        return [Pose(x % aspect, y0, 1.5 * size, phase) for x in travelled]
    if motion == "swing":
        swings, reach = generator.uniform(2.0, 3.5), generator.uniform(0.2, 0.3)
        return [Pose(x0 + reach * np.sin(2 * np.pi * swings * t + phase), y0, size, phase) for t in times]
    parts = motion.split("-")
    edges = [NUM_FRAMES * i // len(parts) for i in range(len(parts) + 1)]
    return [
        pose
        for part, start, end in zip(parts, edges, edges[1:], strict=False)
        for pose in PARTS[part](x0, y0, size, end - start, generator)
    ]


def bouncing(x: float, y: float, size: float, num_frames: int, generator: Generator) -> list[Pose]:
    """Up and down at one place."""
    times = np.arange(num_frames) / FPS
    rate, phase = generator.uniform(1.5, 2.0), generator.uniform(0, 2 * np.pi)
    return [Pose(x, y + 0.2 * np.sin(2 * np.pi * rate * t + phase), size, 0.0) for t in times]


def growing(x: float, y: float, size: float, num_frames: int, generator: Generator) -> list[Pose]:
    """Larger and smaller at one place."""
    times = np.arange(num_frames) / FPS
    rate, phase = generator.uniform(1.5, 2.0), generator.uniform(0, 2 * np.pi)
    return [Pose(x, y, size * (1 + 0.5 * np.sin(2 * np.pi * rate * t + phase)), 0.0) for t in times]


PARTS = {"bounce": bouncing, "grow": growing}


# --- drawing -----------------------------------------------------------------------------------------------


def background(generator: Generator) -> np.ndarray:
    """A smooth random texture in two colours: (H, W, 3) uint8."""
    coarse = generator.random((6, 8)).astype(np.float32)
    texture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 1)[..., None]
    dark, light = generator.integers(20, 110, (2, 3))
    return (dark + (light - dark) * texture).astype(np.uint8)


def bell(pose: Pose) -> np.ndarray:
    """Corners of a bell in pixels of a frame four times as large: (corners, 2) int32."""
    corners = np.array([(-0.5, -1), (0.5, -1), (1.1, 1), (-1.1, 1)]) * pose.size + (pose.x, pose.y)
    return np.round(corners * HEIGHT * 4).astype(np.int32)


def stripes(pose: Pose) -> np.ndarray:
    """Bars across the whole enlarged frame, three to an object, turned with it: (4H, 4W) uint8, 0 or 255"""
    y, x = np.mgrid[: HEIGHT * 4, : WIDTH * 4] / (HEIGHT * 4)
    across = (x - pose.x) * np.cos(pose.angle) + (y - pose.y) * np.sin(pose.angle)
    return np.where(np.cos(3 * np.pi * across / pose.size) > 0, 255, 0).astype(np.uint8)


def draw_mask(shape: str, pose: Pose) -> np.ndarray:
    """How much of each pixel the shape covers: (H, W) float32 in [0, 1]."""
    mask = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    centre = (round(pose.x * HEIGHT * 4), round(pose.y * HEIGHT * 4))
    radius = round(pose.size * HEIGHT * 4)
    if shape == "disc":
        cv2.circle(mask, centre, radius, 255, -1)
    elif shape == "stripes":
        cv2.circle(mask, centre, radius, 255, -1)
        mask &= stripes(pose)
    elif shape == "ring":
        cv2.circle(mask, centre, radius, 255, max(radius // 3, 1))
    else:
        cv2.fillPoly(mask, [bell(pose)], 255)
    return cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) / np.float32(255)


def draw(shape: str, pose: Pose, canvas: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """The shape on a copy of `canvas`, smoothed: (H, W, 3) uint8."""
    alpha = draw_mask(shape, pose)[..., None]
    return (canvas * (1 - alpha) + np.array(colour, np.float32) * alpha).astype(np.uint8)


def speckles(height: int, width: int, generator: Generator) -> np.ndarray:
    """Bright and dark grains about three pixels across: (height, width) float32 in [0, 1]."""
    grains = cv2.GaussianBlur(generator.random((height, width)).astype(np.float32), (0, 0), 1.2)
    return (0.5 + (grains - 0.5) * 4).clip(0, 1)


def moving_speckles(track: list[Pose], generator: Generator) -> np.ndarray:
    """A speckled disc before speckles like its own: no frame shows it, its motion does. (T, H, W, 3) uint8"""
    dark, light = generator.integers(20, 110, 3), generator.integers(130, 230, 3)
    ground = speckles(HEIGHT, WIDTH, generator)
    disc = speckles(HEIGHT, 2 * WIDTH, generator)  # a strip wide enough for the way across the frame
    frames = []
    for pose in track:
        mask = draw_mask("disc", pose)
        shift = np.array([[1, 0, pose.x * HEIGHT - WIDTH], [0, 1, 0]], np.float32)
        moved = cv2.warpAffine(disc, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_WRAP)
        grains = (ground * (1 - mask) + moved * mask)[..., None]
        frames.append(dark + (light - dark) * grains)
    return np.stack(frames)


def render_frames(kind: Kind, generator: Generator, num_frames: int = NUM_FRAMES) -> np.ndarray:
    """The pictures of one video: (T, H, W, 3) uint8 RGB."""
    canvas = background(generator)
    colour = tuple(int(c) for c in generator.permutation([int(generator.integers(180, 256)), 220, 90]))
    track = poses(kind.motion, generator)[:num_frames]
    if kind.shape == "speckles":
        frames = moving_speckles(track, generator)
    else:
        frames = np.stack([draw(kind.shape, pose, canvas, colour) for pose in track])
    noise = generator.normal(0, 4, frames.shape).astype(np.float32)
    return (frames + noise).clip(0, 255).astype(np.uint8)


# --- sound -------------------------------------------------------------------------------------------------


def rustle(times: np.ndarray, generator: Generator) -> np.ndarray:
    """Hissing that swells and fades about once a second. (S,)"""
    swell = 1 + np.sin(2 * np.pi * (generator.uniform(0.8, 1.2) * times + generator.random()))
    return 0.06 * swell * generator.normal(0, 1, times.shape)


def whistle(times: np.ndarray, generator: Generator) -> np.ndarray:
    """A tone of random pitch that wavers by a fifth, about four times a second. (S,)"""
    rate = generator.uniform(3.5, 4.5)
    wavering = 0.2 / (2 * np.pi * rate) * np.sin(2 * np.pi * (rate * times + generator.random()))
    return 0.1 * np.sin(2 * np.pi * generator.uniform(800, 2000) * (times + wavering))


def ticking(times: np.ndarray, generator: Generator) -> np.ndarray:
    """Short clicks of noise, about seven a second. (S,)"""
    since_tick = (times * generator.uniform(6, 8) + generator.random()) % 1.0
    return 0.5 * np.exp(-40 * since_tick) * generator.normal(0, 1, times.shape)


def hum(times: np.ndarray, generator: Generator) -> np.ndarray:
    """A steady tone of random pitch. (S,)"""
    return 0.1 * np.sin(2 * np.pi * generator.uniform(200, 2000) * times)


def strokes(pitch_hz: float) -> Callable[[np.ndarray, Generator], np.ndarray]:
    """A bell struck about three times a second at one pitch, give or take a tenth."""

    def sound(times: np.ndarray, generator: Generator) -> np.ndarray:
        pitch, rate = pitch_hz * generator.uniform(0.9, 1.1), generator.uniform(2.5, 3.5)
        since_stroke = (times * rate + generator.random()) % 1.0 / rate
        return 0.3 * np.exp(-8 * since_stroke) * np.sin(2 * np.pi * pitch * times)

    return sound


SOUNDS: dict[str, Callable[[np.ndarray, Generator], np.ndarray]] = {
    "rustle": rustle,
    "whistle": whistle,
    "ticking": ticking,
    "hum": hum,
    "high": strokes(1500.0),
    "low": strokes(500.0),
}


def render_sound(kind: Kind, generator: Generator, num_frames: int = NUM_FRAMES) -> np.ndarray:
    """The sound of one video, with noise: (S,) float32 in [-1, 1]."""
    times = np.arange(num_frames * SAMPLE_RATE // FPS) / SAMPLE_RATE
    noise = generator.normal(0, 0.02, times.shape)
    return (SOUNDS[kind.sound](times, generator) + noise).clip(-1, 1).astype(np.float32)


# --- file --------------------------------------------------------------------------------------------------


def encode(path: Path, frames: np.ndarray, sound: np.ndarray | None) -> None:
    """Write an mp4: H.264 video and, unless `sound` is None, AAC. (T, H, W, 3) uint8, (S,) float32"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options=X264)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if sound is not None else None
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                block = av.AudioFrame.from_ndarray(
                    sound[None, start : start + 1024], format="fltp", layout="mono"
                )
                block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
                container.mux(audio.encode(block))
            container.mux(audio.encode())


def render_video(
    path: Path, label: str, generator: Generator, *, sound: bool = True, num_frames: int = NUM_FRAMES
) -> None:
    """Draw, voice and encode one video of a class."""
    kind = CLASSES[label]
    frames = render_frames(kind, generator, num_frames)
    encode(path, frames, render_sound(kind, generator, num_frames) if sound else None)
