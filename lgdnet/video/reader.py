"""Frames by number, exactly.

Frame i is the i-th frame (0-based) that a decoder returns when it reads the file from its beginning, after
the
container's edit list, damaged packets left out. That is the definition; faster backends are used only for
files where `probe` has found that they return the same.

pyav   decodes from the beginning. Right for every file.
seek   jumps to a keyframe and knows every frame by its time stamp. For files whose time stamps are regular
       and whose frames are whole (`probe` checks both).
decord for files where `probe` found it exact; in a process that can be killed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from lgdnet.clips import scaled_size
from lgdnet.errors import InputError
from lgdnet.ffmpeg import name_for_ffmpeg
from lgdnet.log import warn
from lgdnet.watchdog import Failure

# T frames, H x W pixels

BACKENDS = ("pyav", "seek", "decord")
MAX_PIXELS = 8192 * 4352  # 8K; a 400 kB file can promise frames of gigabytes
MAX_FRAMES = 500_000  # four and a half hours at 30 frames per second
INTERPOLATION = "AREA"  # swscale; FAST_BILINEAR aliases
# Frames that are decoded rather than jumped over when the next wanted frame is near.
MIN_JUMP = 12


Value = TypeVar("Value")


class VideoError(InputError):
    """A video that does not give the frames asked for."""


@dataclass
class Damage:
    """What went wrong while decoding."""

    packets: int = 0  # marked as corrupt by the container, or refused by the decoder
    frames: int = 0  # returned, marked as corrupt
    demuxer: str = ""  # the message with which the container broke off
    hidden: int = 0  # packets that an edit list hides before the first frame; no damage

    @property
    def total(self) -> int:
        """Packets, frames and the broken container, counted once each."""
        return self.packets + self.frames + bool(self.demuxer)


@contextmanager
def opened(
    path: Path, *, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple["av.container.InputContainer", "av.VideoStream"]]:
    """The container and its best video stream, set to decode in one thread."""
    try:
        container = av.open(name_for_ffmpeg(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path}: cannot be opened ({message_of(error)}). Probe it again: `lgdnet manifest`."
        ) from None
    try:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            raise VideoError(f"{path}: has no video stream. Remove it from the annotations.")
        prepare(stream, max_pixels=max_pixels, path=path)
        yield container, stream
    finally:
        container.close()


def prepare(stream: "av.VideoStream", *, max_pixels: int, path: Path) -> None:
    """Bound the size before anything is decoded; one thread, because the loader is parallel over videos."""
    codec = stream.codec_context
    if codec is None:
        raise VideoError(f"{path}: no decoder for its video stream. Transcode it first.")
    codec.thread_count = 1
    if codec.width * codec.height > max_pixels:
        raise VideoError(
            f"{path}: {codec.width}x{codec.height} pixels are more than the limit of {max_pixels}. "
            "Scale the video down or raise the limit."
        )
    codec.options = {**codec.options, "max_pixels": str(max_pixels)}


def message_of(error: Exception) -> str:
    """FFmpeg's words without numbers and file name."""
    return getattr(error, "strerror", None) or str(error)


def decoded(
    container: "av.container.InputContainer", stream: "av.VideoStream", damage: Damage | None = None
) -> Iterator["av.VideoFrame"]:
    """Frames in the order of showing, packet by packet, so that a bad packet costs only itself."""
    damage = damage if damage is not None else Damage()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            damage.demuxer = message_of(error)
            packet = None
        except IndexError:  # a track that the header did not announce begins; PyAV does not know it
            packets = container.demux(stream)
            continue
        damage.packets += packet is not None and bool(packet.is_corrupt)
        damage.hidden += packet is not None and packet.is_discard and (packet.pts or 0) < 0
        try:
            frames = stream.codec_context.decode(packet) if packet is None else packet.decode()
        except av.EOFError:  # flushed before, by the empty packet that ends a stream
            frames = []
        except (av.FFmpegError, OSError, ValueError):
            damage.packets += 1
            frames = []
        for frame in frames:
            damage.frames += bool(frame.is_corrupt)
            yield frame
        if packet is None:
            return


class Scaler:
    """Frames as RGB arrays of one size, upright. The size follows from the first frame of the file."""

    def __init__(self, short_side: int | None) -> None:
        self.short_side = short_side
        self.size: tuple[int, int] | None = None
        self.reformatter = VideoReformatter()

    def __call__(self, frame: "av.VideoFrame") -> np.ndarray:
        """-> (H, W, 3) uint8 RGB"""
        if self.size is None:
            self.size = scaled_size(frame.height, frame.width, short_side=self.short_side)
        H, W = self.size
        rgb = self.reformatter.reformat(frame, width=W, height=H, format="rgb24", interpolation=INTERPOLATION)
        array = rgb.to_ndarray()
        quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(array, quarter_turns)) if quarter_turns else array


def iterate_frames(
    path: Path, *, short_side: int | None = None, max_frames: int = MAX_FRAMES, damage: Damage | None = None
) -> Iterator[np.ndarray]:
    """Every frame in order. (H, W, 3) uint8 RGB each; the shorter side scaled to `short_side` pixels."""
    scale = Scaler(short_side)
    with opened(path) as (container, stream):
        for i, frame in enumerate(decoded(container, stream, damage)):
            if i >= max_frames:
                raise VideoError(f"{path}: more than {max_frames} frames. Cut the video or raise the limit.")
            yield scale(frame)


def read_frames(
    path: Path, indices: Sequence[int] | np.ndarray, *, short_side: int | None = None, backend: str = "pyav"
) -> np.ndarray:
    """Exactly the 0-based frames asked for, in the order asked for. -> (T, H, W, 3) uint8 RGB

    Indices may repeat and need not be sorted. Raises `VideoError` naming the file if one does not exist.
    """
    wanted = np.unique(np.asarray(indices, dtype=np.int64))
    if wanted.size == 0 or wanted[0] < 0:
        raise VideoError(f"{path}: frames {list(indices)[:5]} were asked for; frame numbers start at 0.")
    if backend == "decord":
        frames = read_by_decord(path, wanted, short_side=short_side)
    elif backend == "seek":
        frames = read_by_seeking(path, wanted, short_side=short_side)
    elif backend == "pyav":
        frames = read_from_the_start(path, wanted, short_side=short_side)
    else:
        raise VideoError(f"{path}: unknown backend {backend!r}. Known: {', '.join(BACKENDS)}.")
    return frames[np.searchsorted(wanted, np.asarray(indices, dtype=np.int64))]


def read_from_the_start(path: Path, wanted: np.ndarray, *, short_side: int | None) -> np.ndarray:
    """Sorted frame numbers, by decoding everything up to the last one. -> (len(wanted), H, W, 3)"""
    scale = Scaler(short_side)
    found: list[np.ndarray] = []
    num_frames = 0
    with opened(path) as (container, stream):
        for frame in decoded(container, stream):
            if num_frames == wanted[len(found)]:
                found.append(scale(frame))
                if len(found) == len(wanted):
                    return np.stack(found)
            num_frames += 1
    raise missing_frame(path, int(wanted[len(found)]), num_frames)


def missing_frame(path: Path, index: int, num_frames: int) -> VideoError:
    """What a reader says when the file ends too early."""
    return VideoError(
        f"{path}: frame {index} was asked for, but only {num_frames} frames decode. "
        "The file changed since it was probed; run `snakemake manifest --forcerun manifest`."
    )


@dataclass(frozen=True)
class Clock:
    """Time stamps of a file with constant rate: frame i is shown at `start + i / rate`, rounded to ticks of
    `time_base`.
    """

    start: int
    rate: Fraction
    time_base: Fraction

    @classmethod
    def of(cls, stream: "av.VideoStream") -> "Clock | None":
        """From the header; None where the header does not say."""
        if not stream.average_rate or stream.time_base is None:
            return None
        return cls(stream.start_time or 0, stream.average_rate, stream.time_base)

    def index(self, pts: int) -> int:
        """Frame number of a time stamp."""
        return round((pts - self.start) * self.time_base * self.rate)

    def seek_target(self, index: int, stream: "av.VideoStream") -> int:
        """A time stamp whose seek lands on the keyframe at or before frame `index`.

        mp4 is searched by decoding time, which runs ahead of showing time by the reordering delay; half a
        frame more forgives rounded time stamps.
        """
        delay = stream.codec_context.has_b_frames
        return self.start + round((index - delay + Fraction(1, 2)) / self.rate / self.time_base)


def read_by_seeking(path: Path, wanted: np.ndarray, *, short_side: int | None) -> np.ndarray:
    """As `read_from_the_start`, for files with regular time stamps."""
    found = seek_frames(path, wanted, Scaler(short_side))
    if len(found) < len(wanted):  # the seek landed after the frame, or the file ends before it
        return read_from_the_start(path, wanted, short_side=short_side)
    return np.stack([found[i] for i in wanted.tolist()])


def read_by_decord(path: Path, wanted: np.ndarray, *, short_side: int | None) -> np.ndarray:
    """As `read_from_the_start`, for files where decord was found exact; where it fails or hangs, without it."""
    from lgdnet.video.decord_reader import read_with_decord

    frames = read_with_decord(path, wanted, short_side=short_side)
    if isinstance(frames, Failure):
        warn(f"{path}: decord failed ({frames.message}); read with PyAV")
        return read_from_the_start(path, wanted, short_side=short_side)
    return frames


def seek_frames(
    path: Path, wanted: np.ndarray, convert: Callable[["av.VideoFrame"], Value]
) -> dict[int, Value]:
    """`convert` of every sorted frame number that a seek reaches."""
    found: dict[int, Value] = {}
    with opened(path) as (container, stream):
        clock = Clock.of(stream)
        if clock is None:
            raise VideoError(
                f"{path}: its header names no frame rate; it cannot be read by seeking. Probe it again."
            )
        for run in np.split(wanted, np.flatnonzero(np.diff(wanted) > MIN_JUMP) + 1):
            if run[0] > MIN_JUMP or found:
                container.seek(clock.seek_target(int(run[0]), stream), stream=stream, backward=True)
            found.update(read_run(container, stream, clock, run, convert))
    return found


def read_run(
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    clock: Clock,
    run: np.ndarray,
    convert: Callable[["av.VideoFrame"], Value],
) -> dict[int, Value]:
    """Neighbouring frames from where the container stands; those that were found.

    Frames shown before the first keyframe lean on frames that were jumped over; they are not taken.
    """
    wanted = set(run.tolist())
    first, last = int(run[0]), int(run[-1])
    codec = stream.codec_context
    found: dict[int, Value] = {}
    keyframe_seen = False
    try:
        for packet in container.demux(stream):
            near = packet.pts is None or first <= clock.index(packet.pts) <= last
            codec.skip_frame = "DEFAULT" if near else "NONREF"  # no frame refers to those that are skipped
            for frame in packet.decode():
                keyframe_seen = keyframe_seen or bool(frame.key_frame)
                index = clock.index(frame.pts) if frame.pts is not None else -1
                if keyframe_seen and index in wanted:
                    found[index] = convert(frame)
                if index >= last:
                    return found
    except (av.FFmpegError, OSError, IndexError):  # IndexError: as in `decoded`
        return found
    finally:
        codec.skip_frame = "DEFAULT"
    return found
