"""Moving pictures with known flow, made on the spot."""

from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd

from lgdnet.manifest import Manifest, read_manifest, write_manifest


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise, grey levels 0-255. (H, W) float32"""
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255


def shifted(num_frames: int, height: int, width: int, *, dx: float, dy: float, seed: int = 0) -> np.ndarray:
    """A texture that moves (dx, dy) pixels per frame. (T, H, W) uint8"""
    margin = 40
    picture = texture(height + 2 * margin, width + 2 * margin, seed)
    frames = []
    for t in range(num_frames):
        matrix = np.array([[1, 0, t * dx - margin], [0, 1, t * dy - margin]], np.float32)
        frames.append(cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC))
    return np.rint(np.stack(frames)).clip(0, 255).astype(np.uint8)


def swirl(height: int, width: int, *, pixels: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two frames and the smooth flow between them, up to `pixels`: (H, W) uint8 twice, (2, H, W) float32"""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    flow = pixels * np.stack((np.sin(2 * np.pi * y / height), np.sin(2 * np.pi * x / width)))
    second = texture(height, width)
    first = cv2.remap(second, x + flow[0], y + flow[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.rint(first).clip(0, 255).astype(np.uint8), np.rint(second).astype(np.uint8), flow


def write_video(path: Path, grey: np.ndarray) -> None:
    """(T, H, W) uint8 -> H.264"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "8", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *grey.shape[1:], "yuv420p"
        for picture in grey:
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, -1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def small_set(folder: Path, num_frames: tuple[int, ...], *, height: int = 32, width: int = 48) -> Manifest:
    """Videos v0.mp4, v1.mp4, ... in `folder`, each moving its own way, with their manifest in m.csv."""
    rows = []
    for i, count in enumerate(num_frames):
        write_video(folder / f"v{i}.mp4", shifted(count, height, width, dx=1 + i % 3, dy=-(i % 2), seed=i))
        rows.append((f"v{i}", f"v{i}.mp4", "x", 0, count, 25.0, width, height, f"digest{i}", "pyav"))
    names = [
        "video_id",
        "path",
        "label",
        "class_index",
        "num_frames",
        "fps",
        "width",
        "height",
        "digest",
        "backend",
    ]
    write_manifest(folder / "m.csv", pd.DataFrame(rows, columns=names))
    return read_manifest(folder / "m.csv")
