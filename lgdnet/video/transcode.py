"""A video at the size that is needed, with keyframes close together, for quick random access. No ffmpeg program.

H.264 in mp4, closed groups of pictures of fixed length, so that a clip costs at most one group more than itself.
"""

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from lgdnet.artefact import atomic
from lgdnet.clips import clip_starts, frame_indices, scaled_size
from lgdnet.ffmpeg import name_for_ffmpeg
from lgdnet.settings import MediaSettings
from lgdnet.video.probe import probe
from lgdnet.video.reader import INTERPOLATION, VideoError, decoded, message_of, opened, read_frames

# Sound that an mp4 may hold as it is, by FFmpeg's decoder; everything else becomes AAC.
COPIED_SOUND = frozenset({"aac", "ac3", "opus", "flac"})
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
# Time stamps of sound that differ by less than this from its count of samples are only rounded; a longer gap
# becomes silence, unless it is so long that a damaged time stamp is more likely.
GAP_SEC, MAX_GAP_SEC = 0.1, 600


CLIP_LENGTH = 16  # of the clips that are timed


class Recipe(NamedTuple):
    """How to transcode. Larger `crf` is smaller and worse; 18 is near the eye's limit."""

    short_side: int = 256
    keyframe_every: int = 16
    fps: float | None = None  # None keeps every frame and its time
    crf: int = 20
    preset: str = "veryfast"

    @classmethod
    def of(cls, settings: MediaSettings) -> "Recipe":
        """As a challenge says it."""
        return cls(settings.short_side, settings.keyframe_every, settings.fps, settings.crf, settings.preset)


def transcode(source: Path, target: Path, recipe: Recipe) -> None:
    """Write `target`, whole or not at all. Raises `VideoError` naming the source."""
    try:
        with (
            atomic(target) as tmp,
            av.open(str(tmp), "w", format="mp4", options={"movflags": "faststart"}) as out,
        ):
            start_sec = write_pictures(source, out, recipe)
            write_sound(source, out, start_sec)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{source}: cannot be transcoded ({message_of(error)}). Probe it again.") from None


def write_pictures(source: Path, out: Any, recipe: Recipe) -> float:
    """Encode the video stream and announce the sound's. -> when the first picture is shown, in seconds"""
    with opened(source) as (container, stream):
        frames = upright(decoded(container, stream), recipe.short_side)
        time_base = stream.time_base or Fraction(1, 90000)
        rate = (
            Fraction(recipe.fps).limit_denominator(1001)
            if recipe.fps
            else stream.average_rate or Fraction(25)
        )
        first = next(frames, None)
        if first is None:
            raise VideoError(f"{source}: no frame decodes. Probe it again.")
        encoder = out.add_stream("libx264", rate=rate, options=encoder_options(recipe))
        encoder.width, encoder.height, encoder.pix_fmt = first[1].width, first[1].height, "yuv420p"
        encoder.codec_context.thread_count = 1
        encoder.codec_context.time_base = 1 / rate if recipe.fps else time_base
        announce_sound(container, out)
        timed = regular(first, frames, time_base, rate) if recipe.fps else from_zero(first, frames)
        for pts, frame in timed:
            frame.pts, frame.time_base, frame.pict_type = pts, encoder.codec_context.time_base, 0
            out.mux(encoder.encode(frame))
        out.mux(encoder.encode(None))
        return float(first[0] * time_base)


def encoder_options(recipe: Recipe) -> dict[str, str]:
    """Groups of exactly `keyframe_every` pictures that need nothing from outside; the same bytes on every run.

    Without mbtree: with it, x264's bytes differ from run to run on some processors.
    """
    groups = f"keyint={recipe.keyframe_every}:min-keyint={recipe.keyframe_every}:scenecut=0:open-gop=0"
    return {
        "crf": str(recipe.crf),
        "preset": recipe.preset,
        "x264-params": f"{groups}:bframes=2:mbtree=0:log-level=none",
    }


def upright(frames: Iterator["av.VideoFrame"], short_side: int) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """(time stamp, picture): turned, not enlarged, with even sides, as 4:2:0 needs. Stamps rise strictly."""
    reformatter, size, last = VideoReformatter(), None, None
    for frame in frames:
        if size is None:
            H, W = scaled_size(
                frame.height, frame.width, short_side=min(short_side, frame.height, frame.width)
            )
            size = H // 2 * 2, W // 2 * 2
        turns = round(frame.rotation / 90) % 4
        picture = reformatter.reformat(
            frame,
            width=size[1],
            height=size[0],
            format="rgb24" if turns else "yuv420p",
            interpolation=INTERPOLATION,
        )
        if turns:
            pixels: Any = np.ascontiguousarray(np.rot90(picture.to_ndarray(), turns))
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        stamp = frame.pts if frame.pts is not None else (0 if last is None else last + (frame.duration or 1))
        stamp = stamp if last is None else max(stamp, last + 1)
        last = stamp
        yield stamp, picture


def from_zero(
    first: tuple[int, "av.VideoFrame"], frames: Iterator[tuple[int, "av.VideoFrame"]]
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Every picture at its own time, the first at zero."""
    yield 0, first[1]
    for pts, frame in frames:
        yield pts - first[0], frame


def regular(
    first: tuple[int, "av.VideoFrame"],
    frames: Iterator[tuple[int, "av.VideoFrame"]],
    time_base: Fraction,
    rate: Fraction,
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """One picture per tick of `rate`: the one that is shown at that time. -> (tick, picture)"""
    tick, shown = 0, first[1]
    for pts, frame in frames:
        while tick < (pts - first[0]) * time_base * rate:
            yield tick, copied(shown)
            tick += 1
        shown = frame
    yield tick, shown


def copied(frame: "av.VideoFrame") -> "av.VideoFrame":
    """A picture that can be given another time stamp."""
    pixels: Any = frame.to_ndarray()
    return av.VideoFrame.from_ndarray(pixels, format=frame.format.name)


def announce_sound(container: Any, out: Any) -> None:
    """Add the stream that `write_sound` fills, before anything is written."""
    if not container.streams.audio:
        return
    stream = container.streams.best("audio")
    if stream.codec_context is None:
        return
    if stream.codec_context.name in COPIED_SOUND:
        out.add_stream_from_template(stream)
    else:
        # The next rate up that AAC knows: nothing that can be heard is lost below 96 kHz.
        rate = next((r for r in AAC_RATES if r >= stream.rate), AAC_RATES[-1])
        out.add_stream("aac", rate=rate, layout="mono" if stream.channels == 1 else "stereo")


def write_sound(source: Path, out: Any, start_sec: float) -> None:
    """Copy or encode the sound, moved with the pictures so that both stay together."""
    if not out.streams.audio:
        return
    target = out.streams.audio[0]
    with av.open(name_for_ffmpeg(source)) as container:
        stream: Any = container.streams.best("audio")
        shift = round(start_sec / stream.time_base)
        if stream.codec_context.name not in COPIED_SOUND:
            encode_sound(container, stream, out, start_sec)
            return
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and packet.pts >= shift and not packet.is_corrupt:
                packet.pts, packet.dts = packet.pts - shift, packet.pts - shift
                packet.stream = target
                out.mux(packet)


def encode_sound(container: Any, stream: Any, out: Any, start_sec: float) -> None:
    """Sound from `start_sec` on as AAC. The samples are counted, since time stamps may be coarse (avi) or absent."""
    target = out.streams.audio[0]
    codec = target.codec_context
    position: int | None = None  # of the next sample to write, at the rate of `codec`
    resampler, layout = None, None

    def write(pieces: list[Any]) -> None:
        nonlocal position
        for piece in pieces:
            position = position or 0
            piece.pts, piece.time_base = position, Fraction(1, codec.sample_rate)
            position += piece.samples
            out.mux(target.encode(piece))

    for frame in (frame for packet in container.demux(stream) for frame in decoded_sound(packet)):
        if frame.time is None and position is None:
            continue
        gap = 0
        if frame.time is not None:
            begin = round((frame.time - start_sec) * codec.sample_rate)
            position = begin if position is None and begin >= 0 else position
            gap = begin - (position or 0)
        if position is None or gap < -GAP_SEC * codec.sample_rate:
            continue  # before the first picture, or the same moments twice
        if GAP_SEC < gap / codec.sample_rate <= MAX_GAP_SEC:
            write(silence(gap, codec))
        if (frame.format.name, frame.layout.name, frame.sample_rate) != layout:
            write(resampler.resample(None) if resampler else [])
            layout = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(codec.format, codec.layout, codec.sample_rate)
        frame.pts = None
        assert resampler is not None
        write(resampler.resample(frame))
    write(resampler.resample(None) if resampler else [])
    out.mux(target.encode(None))


def silence(num_samples: int, codec: Any) -> list["av.AudioFrame"]:
    """Zeros in the encoder's format, in pieces of at most a second."""
    frames = []
    for first in range(0, num_samples, codec.sample_rate):
        count = min(codec.sample_rate, num_samples - first)
        zeros = np.zeros((codec.layout.nb_channels, count), np.float32)
        frames.append(av.AudioFrame.from_ndarray(zeros, format="fltp", layout=codec.layout.name))
        frames[-1].sample_rate = codec.sample_rate
    return frames


def transcode_and_probe(
    source: str,
    target: str,
    recipe: dict[str, Any],
    reader: str,
    backend: str,
    num_frames: int,
    is_timed: bool,
) -> dict[str, Any]:
    """In a worker process: one file made and probed. -> its facts, and what the report tells"""
    transcode(Path(source), Path(target), Recipe(**recipe))
    found = probe(Path(target), backend=reader)
    if found.verdict != "ok":
        raise VideoError(f"{target}: came out {found.verdict} ({found.reason})")
    before, after = float("nan"), float("nan")
    if is_timed:
        before = ms_per_clip(Path(source), backend, num_frames)
        after = ms_per_clip(Path(target), found.backend, found.num_frames)
    return {
        **found.facts(),
        "source_bytes": Path(source).stat().st_size,
        "ms_per_clip_before": before,
        "ms_per_clip_after": after,
    }


def ms_per_clip(path: Path, backend: str, num_frames: int) -> float:
    """Processor time of one random clip of 16 frames: the mean over five evenly spaced ones."""
    starts = clip_starts(num_frames, num_clips=5, clip_length=CLIP_LENGTH)
    begin = time.process_time()
    for start in starts:
        indices = frame_indices(start, clip_length=CLIP_LENGTH, num_video_frames=num_frames)
        read_frames(path, indices, backend=backend)
    return 1000 * (time.process_time() - begin) / len(starts)


def decoded_sound(packet: Any) -> list[Any]:
    """Frames of one packet; a damaged one gives silence, not an end."""
    try:
        return packet.decode()
    except av.FFmpegError:
        return []
