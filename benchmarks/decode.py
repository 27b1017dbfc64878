"""Random clips and dumps of 20 clips: the obvious ways and ours, in one run, as ratios.

    python benchmarks/decode.py [VIDEO]

Without VIDEO a 10-second 340x256 video is made: drifting texture, keyframes as far apart as x264 puts them.
Every way gives the same frames as arrays (T, H, W, 3). Times are processor milliseconds, medians over rounds
in which all ways take turns, so that a busy machine hits them alike.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from lgdnet.clips import clip_starts
from lgdnet.video import iterate_frames, probe, read_frames
from lgdnet.video.cache import FrameCache, write_cache
from lgdnet.video.transcode import Recipe, transcode

# T frames per clip, H x W pixels

NUM_CLIPS = 20


def make_video(path: Path, *, num_frames: int = 300, height: int = 256, width: int = 340) -> None:
    """Two layers of texture with a natural spectrum, drifting over each other, and some noise."""
    generator = np.random.default_rng(0)
    layers = [texture(generator, height + 64, width + 64) for _ in range(2)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(num_frames):
            a = np.roll(layers[0], (i // 2, i), (0, 1))[:height, :width]
            b = np.roll(layers[1], (-i, i // 3), (0, 1))[:height, :width]
            picture = np.where((b > 150)[..., :1], b, a) + generator.normal(0, 3, (height, width, 1))
            frame = av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def texture(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) with amplitudes that fall as 1 / frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) + 1 / width
    planes = [
        np.fft.ifft2(np.fft.fft2(generator.normal(size=(height, width))) / frequency).real for _ in range(3)
    ]
    stack = np.stack(planes, axis=-1)
    return (stack - stack.min()) / (stack.max() - stack.min()) * 255


def with_opencv(path: Path, indices: np.ndarray) -> np.ndarray:
    """Set the frame number, read on."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, int(indices[0]))
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in indices]
    capture.release()
    return np.stack(frames)


def with_pyav(path: Path, indices: np.ndarray) -> np.ndarray:
    """Seek to the keyframe before the clip, decode up to its end."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        step = 1 / stream.average_rate / stream.time_base
        container.seek(int(indices[0] * step), stream=stream, backward=True)
        frames, convert = [], VideoReformatter()
        for frame in container.decode(stream):
            if frame.pts >= int(indices[0] * step):
                frames.append(convert.reformat(frame, format="rgb24").to_ndarray())
            if len(frames) == len(indices):
                break
    return np.stack(frames)


def with_decord(path: Path, indices: np.ndarray) -> np.ndarray:
    """A reader per clip."""
    import decord

    return decord.VideoReader(str(path), num_threads=1).get_batch(indices).asnumpy()


def compare(ways: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median processor milliseconds of each way; all ways in every round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if turn:  # the first round warms up
                times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def show(title: str, times: dict[str, float], reference: str) -> None:
    print(f"\n{title}")
    for name, value in times.items():
        print(f"  {name:52s} {value:8.1f} ms   {times[reference] / value:6.1f}x")


def random_clips(
    ways: dict[str, Callable[[np.ndarray], object]], length: int, num_frames: int, rounds: int
) -> dict[str, float]:
    """Each way reads the same random clip in each round."""
    starts = iter(np.random.default_rng(1).integers(0, num_frames - length, 10_000))
    current: dict[str, np.ndarray] = {}

    def next_clip() -> None:
        current["indices"] = int(next(starts)) + np.arange(length)

    timed = {name: (lambda way=way: way(current["indices"])) for name, way in ways.items()}
    return compare({"(draw)": next_clip, **timed}, rounds=rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or Path(folder) / "made.mp4"
        if arguments.video is None:
            make_video(video)
        run(video, Path(folder), arguments.rounds)


def run(video: Path, folder: Path, rounds: int) -> None:
    before = probe(video)
    print(f"{video.name}: {before.num_frames} frames, {before.width}x{before.height}, {before.codec}, "
          f"keyframes up to {before.keyframe_interval} apart, {before.num_bytes / 1000:.0f} kB, reader {before.backend}")  # fmt: skip
    small = {}
    for side in (256, 128):
        small[side] = folder / f"{side}.mp4"
        transcode(video, small[side], Recipe(short_side=side))
    backends = {side: probe(path).backend for side, path in small.items()}
    write_cache(folder / "c.h5", [("v", iterate_frames(video, short_side=128))], quality=92, provenance={})
    cache, n = FrameCache([folder / "c.h5"]), before.num_frames
    for side, path in small.items():
        print(
            f"transcoded to short side {side}: {path.stat().st_size / 1000:.0f} kB, reader {backends[side]}"
        )
    print(f"cache at short side 128: {(folder / 'c.h5').stat().st_size / 1000:.0f} kB")

    for length in (16, 128):
        times = random_clips(
            {
                "OpenCV, seek": lambda i: with_opencv(video, i),
                "PyAV, seek to the keyframe": lambda i: with_pyav(video, i),
                "decord, a reader per clip": lambda i: with_decord(video, i),
                "ours, as it is": lambda i: read_frames(video, i, backend=before.backend),
                "ours, transcoded to 256": lambda i: read_frames(small[256], i, backend=backends[256]),
                "ours, transcoded to 128": lambda i: read_frames(small[128], i, backend=backends[128]),
                "ours, from the cache at 128": lambda i: cache.read("v", i),
            },
            length,
            n,
            rounds,
        )
        times.pop("(draw)")
        show(f"one random clip of {length} frames", times, "ours, as it is")

    for length in (16, 128):
        clips = [s + np.arange(length) for s in clip_starts(n, num_clips=NUM_CLIPS, clip_length=length)]
        times = compare(
            {
                "OpenCV, clip by clip": lambda c=clips: [with_opencv(video, i) for i in c],
                "PyAV, clip by clip": lambda c=clips: [with_pyav(video, i) for i in c],
                "decord, clip by clip": lambda c=clips: [with_decord(video, i) for i in c],
                "ours, one decode": lambda c=clips: all_clips(video, c, before.backend),
                "ours, one decode, transcoded to 128": lambda c=clips: all_clips(
                    small[128], c, backends[128]
                ),
            },
            rounds=max(rounds // 3, 3),
        )
        show(f"{NUM_CLIPS} clips of {length} frames", times, "PyAV, clip by clip")


def all_clips(path: Path, clips: list[np.ndarray], backend: str) -> list[np.ndarray]:
    """What `load_views` does: every needed frame once, clips as windows of them."""
    needed, positions = np.unique(np.concatenate(clips), return_inverse=True)
    frames = read_frames(path, needed, backend=backend)
    return [frames[p[0] : p[-1] + 1] for p in positions.reshape(len(clips), -1)]


if __name__ == "__main__":
    main()
