"""One video in, a strip of pictures and a film of its flow out."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from lgdnet.artefact import atomic
from lgdnet.ffmpeg import name_for_ffmpeg
from lgdnet.flow import FlowError, all_parameters, compute_flow
from lgdnet.flow.picture import beside, strip
from lgdnet.video import iterate_frames

# T frames, H x W pixels


def run(
    video: Path,
    *,
    out: Path,
    algorithm: str = "dis",
    short_side: int = 256,
    bound: float = 20.0,
    max_frames: int = 300,
) -> tuple[Path, Path]:
    """Write `<video>.flow.png` and `<video>.flow.mp4` into the folder `out`; at most `max_frames` frames."""
    all_parameters(algorithm, {})  # an unknown name ends here
    frames = first_frames(video, short_side=short_side, max_frames=max_frames)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    fields = compute_flow(algorithm, grey)
    png, mp4 = (out / f"{video.stem}.flow{suffix}" for suffix in (".png", ".mp4"))
    with atomic(png) as tmp:
        write_png(tmp, strip(frames, fields, bound))
    with atomic(mp4) as tmp:
        pictures = [beside(frame, field, bound) for frame, field in zip(frames[:-1], fields, strict=True)]
        write_mp4(tmp, pictures, frame_rate(video))
    return png, mp4


def first_frames(video: Path, *, short_side: int, max_frames: int) -> np.ndarray:
    """(T, H, W, 3) uint8"""
    frames = []
    for frame in iterate_frames(video, short_side=short_side):
        frames.append(frame)
        if len(frames) == max_frames:
            break
    if len(frames) < 2:
        raise FlowError(f"{video}: flow needs two frames, this video has {len(frames)}")
    return np.stack(frames)


def frame_rate(video: Path) -> Fraction:
    with av.open(name_for_ffmpeg(video)) as container:
        return container.streams.video[0].average_rate or Fraction(25)


def write_png(path: Path, picture: np.ndarray) -> None:
    """(H, W, 3) uint8 RGB"""
    done, png = cv2.imencode(".png", picture[..., ::-1])
    assert done, "OpenCV could not encode a PNG"
    path.write_bytes(png.tobytes())


def write_mp4(path: Path, pictures: list[np.ndarray], rate: Fraction) -> None:
    """H.264; sides are cut to even numbers, as its colour format needs. (H, W, 3) uint8 RGB each"""
    H, W = (side // 2 * 2 for side in pictures[0].shape[:2])
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:H, :W]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
