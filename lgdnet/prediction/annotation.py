"""A copy of a video with its best classes below the pictures, and its sound."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lgdnet.artefact import atomic
from lgdnet.log import progress
from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.words import bars
from lgdnet.video.reader import Scaler, VideoError, decoded, message_of, opened
from lgdnet.video.transcode import announce_sound, write_sound

SMALLEST, LARGEST = 360, 720  # short side of the pictures, pixels: words must be legible, files small


def annotate(
    source: Path, out: Path, scores: Sequence[tuple[str, float]], *, num_frames: int | None = None
) -> None:
    """Write an mp4, whole or not at all; one frame is in memory at a time. Errors: PredictionError."""
    if out.resolve() == source.resolve():
        raise PredictionError(f"{source}: would be written over by its annotated copy. Name another folder.")
    try:
        with (
            atomic(out) as tmp,
            av.open(str(tmp), "w", format="mp4", options={"movflags": "faststart"}) as container,
        ):
            start_sec = write_pictures(source, container, scores, num_frames)
            write_sound(source, container, start_sec)
    except VideoError:
        raise
    except (av.FFmpegError, OSError) as error:
        raise PredictionError(f"{out}: not written ({message_of(error)}).") from None


def write_pictures(
    source: Path,
    out: "av.container.OutputContainer",
    scores: Sequence[tuple[str, float]],
    num_frames: int | None,
) -> float:
    """Every frame at its own time, above the bars. -> when the first one is shown, seconds"""
    with opened(source) as (container, stream):
        codec = stream.codec_context
        scale = Scaler(min(max(codec.width and min(codec.width, codec.height), SMALLEST), LARGEST))
        time_base = stream.time_base or Fraction(1, 90000)
        first: int | None = None
        last = -1
        encoder, below = None, None
        for frame in progress(
            decoded(container, stream), what=f"{source.name}", total=num_frames, unit="frames"
        ):
            picture = scale(frame)
            if encoder is None or below is None:
                below = bars(scores, picture.shape[1], max(picture.shape[1] // 30, 14))
                height = (len(picture) + len(below)) // 2 * 2
                encoder = out.add_stream(
                    "libx264", rate=stream.average_rate or Fraction(25), options={"crf": "20"}
                )
                encoder.width, encoder.height = picture.shape[1] // 2 * 2, height
                encoder.pix_fmt, encoder.codec_context.time_base = "yuv420p", time_base
                encoder.codec_context.thread_count = 1
                announce_sound(container, out)
                first = frame.pts or 0
            stamp = max(
                last + 1, (frame.pts if frame.pts is not None else last + 1 + (first or 0)) - (first or 0)
            )
            whole = np.concatenate([picture, below])[: encoder.height, : encoder.width]
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24")
            made.pts, made.time_base, last = stamp, time_base, stamp
            out.mux(encoder.encode(made))
        if encoder is None:
            raise PredictionError(f"{source}: no frame decodes.")
        out.mux(encoder.encode(None))
        return float((first or 0) * time_base)
