"""Segments of log-mel frames: where they lie beside the clips of the other streams, and how they are cut out.

A segment is `segment_frames` log-mel frames (256 are 2.56 s), centred on a moment of the video. Times are in
seconds on the clock of the pictures, whose zero is the first picture shown.
"""

from collections.abc import Sequence

import numpy as np

from lgdnet.audio.grid import FRAMES_PER_SEC, LOG_FLOOR
from lgdnet.clips import clip_starts


def clip_centres_sec(
    starts: Sequence[int],
    *,
    clip_length: int,
    frame_stride: int,
    num_video_frames: int,
    fps: float,
    frame_times_sec: np.ndarray | None = None,
) -> np.ndarray:
    """Middle of each clip in seconds: first frames (clips,) -> (clips,).

    A clip shows its first frame to its last one, or to the last one of a video that is too short for it and
    loops; its middle is the moment when half of its frames have been shown. `frame_times_sec`, (frames,), says
    when each frame is shown where the rate is not constant; without it, or empty, the rate `fps` tells.
    """
    first = np.asarray(starts, np.float64)
    shown = np.minimum(clip_length * frame_stride, num_video_frames - first)
    if frame_times_sec is None or not len(frame_times_sec):
        return (first + shown / 2) / fps
    times = np.append(frame_times_sec, frame_times_sec[-1] + 1 / fps)
    return np.interp(first + shown / 2, np.arange(len(times)), times)


def first_mel_frame(centre_sec: float, *, start_sec: float, segment_frames: int) -> int:
    """First log-mel frame of the segment centred at `centre_sec` in a sound that starts at `start_sec`.

    Log-mel frame i stands for the moment start_sec + i / FRAMES_PER_SEC, the segment for the span of its
    frames' hops, so the choice is within 5 ms. Negative, or beyond the end, where the sound does not reach.
    """
    return round((centre_sec - start_sec) * FRAMES_PER_SEC - (segment_frames - 1) / 2)


def segment_places(
    *,
    num_video_frames: int,
    fps: float,
    num_mel_frames: int,
    start_sec: float,
    num_clips: int,
    clip_length: int,
    frame_stride: int = 1,
    segment_frames: int,
    draw: int = 0,
    frame_times_sec: np.ndarray | None = None,
) -> tuple[list[int], list[int]]:
    """First video frame of each evenly spaced clip, and first log-mel frame of the segment around its middle.

    Without pictures (`num_video_frames` 0) segments are spread over the sound as clips are over a video, and
    both lists count log-mel frames; a sound shorter than a segment lies in its middle.
    """
    if num_video_frames == 0:
        starts = clip_starts(num_mel_frames, num_clips=num_clips, clip_length=segment_frames, draw=draw)
        missing = max(segment_frames - num_mel_frames, 0)
        return starts, [start - missing // 2 for start in starts]
    starts = clip_starts(
        num_video_frames, num_clips=num_clips, clip_length=clip_length, frame_stride=frame_stride, draw=draw
    )
    centres_sec = clip_centres_sec(
        starts,
        clip_length=clip_length,
        frame_stride=frame_stride,
        num_video_frames=num_video_frames,
        fps=fps,
        frame_times_sec=frame_times_sec,
    )
    return starts, [
        first_mel_frame(centre, start_sec=start_sec, segment_frames=segment_frames)
        for centre in centres_sec.tolist()
    ]


def cut_segment(mel: np.ndarray, first: int, segment_frames: int) -> np.ndarray:
    """Frames first .. first + segment_frames of (frames, mels), silence outside. -> (segment_frames, mels)"""
    segment = np.full((segment_frames, mel.shape[1]), LOG_FLOOR, np.float32)
    low, high = max(first, 0), min(first + segment_frames, len(mel))
    if low < high:
        segment[low - first : high - first] = mel[low:high]
    return segment
