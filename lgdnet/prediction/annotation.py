"""A copy of a video with its best classes below the pictures, and its sound."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lgdnet.artefact import atomic
from lgdnet.log import progress
from lgdnet.prediction.copies import comment_for, is_free
from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.words import bars
from lgdnet.video.reader import Scaler, VideoError, decoded, message_of, opened
from lgdnet.video.transcode import announce_sound, write_sound

SMALLEST, LARGEST = 360, 720  # short side of the pictures, pixels: words must be legible, files small


def annotate(
    source: Path, out: Path, scores: Sequence[tuple[str, float]], *, num_frames: int | None = None
) -> None:
    """Write an mp4, whole or not at all; one frame is in memory at a time.

    Errors: PredictionError; also where `out` is any file but the copy that an earlier run made of `source`.
    """
    if not is_free(out, source):
        raise PredictionError(f"{out}: is the annotated copy of another video. Name another folder.")
    try:
        with (
            atomic(out) as tmp,
            av.open(str(tmp), "w", format="mp4", options={"movflags": "faststart"}) as container,
        ):
            container.metadata["comment"] = comment_for(source)
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
        scale = Scaler(legible(stream.codec_context.width, stream.codec_context.height))
        frames = progress(decoded(container, stream), what=source.name, total=num_frames, unit="frames")
        time_base = stream.time_base or Fraction(1, 90000)
        encoder, below = None, np.zeros((0, 0, 3), np.uint8)
        start, last = 0, -1
        for frame in frames:
            picture = scale(frame)
            if encoder is None:
                start = frame.pts or 0
                below = bars(scores, picture.shape[1], max(picture.shape[1] // 30, 14))
                encoder = add_encoder(out, stream, picture.shape[1], len(picture) + len(below))
                announce_sound(container, out)
            whole = np.concatenate([picture, below])[: encoder.height, : encoder.width]
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24")
            last = max(last + 1, frame.pts - start if frame.pts is not None else 0)  # stamps rise strictly
            made.pts, made.time_base = last, time_base
            out.mux(encoder.encode(made))
        if encoder is None:
            raise PredictionError(f"{source}: no frame decodes.")
        out.mux(encoder.encode(None))
        return float(start * time_base)


def legible(width: int, height: int) -> int:
    """The short side of the copy's pictures, pixels."""
    return min(max(min(width, height), SMALLEST), LARGEST)


def add_encoder(
    out: "av.container.OutputContainer", source: "av.VideoStream", width: int, height: int
) -> Any:
    """H.264 at the times of the source, with even sides, as 4:2:0 needs."""
    encoder: Any = out.add_stream("libx264", rate=source.average_rate or Fraction(25), options={"crf": "20"})
    encoder.width, encoder.height, encoder.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
    encoder.codec_context.time_base = source.time_base or Fraction(1, 90000)
    encoder.codec_context.thread_count = 1
    return encoder
