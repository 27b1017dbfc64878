"""Segments of log-mel frames beside the clips of the other streams.

V clips of one video, F mel bins, T log-mel frames of a segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lgdnet.audio.grid import FRAMES_PER_SEC
from lgdnet.audio.segments import cut_segment, segment_places
from lgdnet.audio.statistics import MelStatistics
from lgdnet.audio.storage import MelStore
from lgdnet.loader.batches import View
from lgdnet.manifest import Manifest


@dataclass(frozen=True)
class LoadedSound:
    """Segments of one video, standardised."""

    row: int
    starts: list[int]  # first video frame (without pictures: log-mel frame) of the clips they lie beside
    segments: np.ndarray  # (V, 1, F, T) float32

    def views(self, *, size: int = 0, num_crops: int = 1) -> Iterator[View]:
        """In order of time. Sound has no width to crop: `size` is ignored, `num_crops` is 1."""
        assert num_crops == 1, "sound has one crop"
        for start, segment in zip(self.starts, self.segments, strict=True):
            yield View(self.row, start, 0, torch.from_numpy(segment))


class AudioSource:
    """Segments of `segment_frames` log-mel frames, standardised per bin with the statistics of the training split.

    Training: a random stretch of the sound, of a short sound all of it at a random place in the segment.
    Evaluation: one segment per clip, centred where the clip of `clip_length` frames, `frame_stride` apart, is
    centred; a video without pictures counts its log-mel frames instead. Beyond the track lies silence.

    `rows` are those whose sound can be heard; the others have nothing to read.
    """

    size = 0  # there is nothing to crop
    draw = 0  # where in its segment of the video a view lies, see `clip_starts`

    def __init__(
        self,
        manifest: Manifest,
        store: MelStore,
        statistics: MelStatistics,
        *,
        segment_frames: int,
        clip_length: int,
        frame_stride: int = 1,
    ) -> None:
        self.manifest = manifest
        self.store = store
        self.statistics = statistics
        self.segment_frames = segment_frames
        self.clip_length = clip_length
        self.frame_stride = frame_stride
        self.video_ids = [str(video_id) for video_id in manifest.video_ids]

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def rows(self) -> list[int]:
        """Rows whose sound can be heard."""
        return [row for row, video_id in enumerate(self.video_ids) if self.store.facts(video_id).is_audible]

    def label(self, row: int) -> int:
        return int(self.manifest.labels[row])

    def read(self, row: int, generator: np.random.Generator) -> np.ndarray:
        """One random segment of one video. -> (1, F, T) float32"""
        spare = self.store.num_frames(self.video_ids[row]) - self.segment_frames
        first = int(generator.integers(min(spare, 0), max(spare, 0) + 1))
        return self.segment(row, first)

    def load_views(self, row: int, *, num_clips: int) -> LoadedSound:
        """The segments beside `num_clips` evenly spaced clips."""
        starts, firsts = self.places(row, num_clips)
        return LoadedSound(row, starts, np.stack([self.segment(row, first) for first in firsts]))

    def places(self, row: int, num_clips: int) -> tuple[list[int], list[int]]:
        """Where each clip starts (video frame) and where its segment starts (log-mel frame)."""
        return segment_places(
            num_video_frames=int(self.manifest.num_frames[row]),
            fps=float(self.manifest.table["fps"].to_numpy(np.float64)[row]),
            num_mel_frames=self.store.num_frames(self.video_ids[row]),
            start_sec=self.store.facts(self.video_ids[row]).start_sec,
            num_clips=num_clips,
            clip_length=self.clip_length,
            frame_stride=self.frame_stride,
            segment_frames=self.segment_frames,
            draw=self.draw,
            frame_times_sec=self.store.frame_times_sec(self.video_ids[row]),
        )

    def segment(self, row: int, first: int) -> np.ndarray:
        """Log-mel frames first .. first + T, standardised, silence beyond the track. -> (1, F, T) float32"""
        mel = self.store.frames(self.video_ids[row], first, first + self.segment_frames)
        cut = cut_segment(mel, min(first, 0), self.segment_frames)  # (T, F); `mel` begins at max(first, 0)
        return np.ascontiguousarray(self.statistics.standardise(cut).T[None])


def frames_of(segment_sec: float) -> int:
    """Log-mel frames of a segment of so many seconds."""
    return round(segment_sec * FRAMES_PER_SEC)
