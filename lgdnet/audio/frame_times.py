"""When each picture of a video is shown: what the frame rate tells only where it is constant."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av import Packet, VideoStream
from av.container import InputContainer

from lgdnet.audio.reading import moving_pictures, packets_of
from lgdnet.ffmpeg import name_for_ffmpeg

MAX_REORDERED = 32  # frames by which coding order and order of showing differ; codecs allow 16


def frame_times(path: Path, num_frames: int) -> np.ndarray:
    """Seconds from the first picture to each of `num_frames`: (num_frames,) float64, or (0,) where unknown.

    The packets' time stamps are enough where there is one for each frame; where an edit list or damage makes
    frames fewer than packets, the pictures are decoded. AVI has no time stamps: its frames have one rate. Unknown, too, is what a clock tells that jumps back.
    """
    for times_of in (_times_of_packets, _times_of_decoded):
        try:
            with av.open(name_for_ffmpeg(path), metadata_errors="ignore") as container:
                pictures = moving_pictures(container)
                if pictures is None or pictures.time_base is None or container.format.name == "avi":
                    break
                ticks = list(times_of(container, pictures))
                tick_sec = float(pictures.time_base)
        except (av.error.FFmpegError, OSError):
            break
        known = [tick for tick in ticks if tick is not None]
        if len(known) == len(ticks) == num_frames:
            stamps = np.array(known, np.int64)
            order = np.argsort(stamps, kind="stable")
            if np.abs(order - np.arange(num_frames)).max(initial=0) > MAX_REORDERED:
                break  # a clock that begins again, as where recordings were joined
            return (stamps[order] - stamps[order[:1]]) * tick_sec
    return np.zeros(0)


def _times_of_packets(container: InputContainer, pictures: VideoStream) -> Iterator[int | None]:
    """In the order of the file; packets that an edit list hides are left out."""
    for packet in packets_of(container, pictures):
        if packet.size and not packet.is_discard:
            yield packet.pts


def _times_of_decoded(container: InputContainer, pictures: VideoStream) -> Iterator[int | None]:
    for packet in packets_of(container, pictures):
        yield from _stamps(packet)


def _stamps(packet: Packet) -> list[int | None]:
    try:
        return [frame.pts for frame in packet.decode()]
    except av.error.FFmpegError:
        return []
