"""Dumped features as training clips: the aggregation networks train with the same engine as the streams.

T clips, S streams, D channels of one stream.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lgdnet.scores import Features, ScoresError
from lgdnet.scores.errors import check_classes, some

Paths = Literal["local", "global", "both"]


@dataclass(frozen=True)
class FeatureSource:
    """Features of several streams, side by side; a `ClipSource` over the videos that any stream has.

    `streams[s]` are the dumps of stream s (several where training starts were jittered): each time a video is
    read one is drawn. All streams have the same clips; videos are joined by id. `video_ids` (N,) and `labels`
    (N,) come from the manifest. `known_widths` are those of a trained network: a stream that is absent from all of
    a split does not tell its own.
    """

    streams: Sequence[Sequence[Features]]
    video_ids: np.ndarray
    labels: np.ndarray
    paths: Paths = "local"
    known_widths: Sequence[int] | None = None

    def __post_init__(self) -> None:
        rows = np.stack([_rows(dumps, self.video_ids) for dumps in self.streams])  # (S, N)
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_usable", np.flatnonzero((rows >= 0).any(axis=0)))
        _check_aligned(self.streams)

    @property
    def usable(self) -> np.ndarray:
        """(n,) manifest rows that at least one stream has."""
        return self._usable  # type: ignore[attr-defined]

    @property
    def widths(self) -> list[int]:
        """Channels of each stream."""
        if self.known_widths is not None:
            return list(self.known_widths)
        return [width_of(dumps[0], self.paths) for dumps in self.streams]

    @property
    def num_clips(self) -> int:
        return next((dumps[0].num_clips for dumps in self.streams if dumps[0].present.any()), 0)

    def __len__(self) -> int:
        return len(self.usable)

    def label(self, row: int) -> int:
        return int(self.labels[self.usable[row]])

    def read(self, row: int, generator: np.random.Generator) -> np.ndarray:
        """A draw of dump and crop for each stream: (T, sum of D + S) float32, last channels 1 where present."""
        video = int(self.usable[row])
        parts, present = [], []
        for dumps, width, own in zip(self.streams, self.widths, self._rows[:, video], strict=True):  # type: ignore[attr-defined]
            dump, crop = (
                dumps[int(generator.integers(len(dumps)))],
                int(generator.integers(dumps[0].num_crops)),
            )
            here = own >= 0
            parts.append(self._clips(dump, int(own))[:, crop] if here else np.zeros((self.num_clips, width)))
            present.append(here)
        presence = np.broadcast_to(np.array(present, np.float32), (self.num_clips, len(present)))
        return np.concatenate([*parts, presence], axis=1, dtype=np.float32)

    def _clips(self, dump: Features, row: int) -> np.ndarray:
        """(T, crops, D) of one video."""
        views = np.concatenate([dump.read(name, row) for name in _names(self.paths)], axis=1)
        return views.reshape(dump.num_clips, dump.num_crops, -1)

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every usable video in order, from the first dump: (n,) manifest rows, (n, crops, T, D + S) float32.

        Streams with fewer crops than others repeat them.
        """
        num_crops = max(dumps[0].num_crops for dumps in self.streams)
        for start in range(0, len(self), size):
            rows = self.usable[start : start + size]
            yield rows, np.stack([self._all_crops(int(row), num_crops) for row in rows])

    def _all_crops(self, video: int, num_crops: int) -> np.ndarray:
        parts, present = [], []
        for dumps, width, own in zip(self.streams, self.widths, self._rows[:, video], strict=True):  # type: ignore[attr-defined]
            clips = self._clips(dumps[0], int(own)) if own >= 0 else np.zeros((self.num_clips, 1, width))
            parts.append(np.resize(clips.swapaxes(0, 1), (num_crops, self.num_clips, width)))
            present.append(own >= 0)
        presence = np.broadcast_to(np.array(present, np.float32), (num_crops, self.num_clips, len(present)))
        return np.concatenate([*parts, presence], axis=2, dtype=np.float32)


def width_of(features: Features, paths: Paths) -> int:
    """Channels of one stream."""
    return sum(features.width[name] for name in _names(paths))


def _names(paths: Paths) -> list[str]:
    return ["features_local", "features_global"] if paths == "both" else [f"features_{paths}"]


def group_dumps(opened: Sequence[Features]) -> list[list[Features]]:
    """Dumps of one checkpoint are draws of one stream; other checkpoints are other streams."""
    groups: dict[str, list[Features]] = {}
    for features in opened:
        groups.setdefault(features.checkpoint_digest, []).append(features)
    return list(groups.values())


def _rows(dumps: Sequence[Features], video_ids: np.ndarray) -> np.ndarray:
    """(N,) row of each video in the stream's files, -1 where the stream lacks it; all dumps have the same."""
    wanted = video_ids.tolist()
    for dump in dumps:
        where = {video_id: row for row, video_id in enumerate(dump.video_ids.tolist())}
        missing = [video_id for video_id in wanted if video_id not in where]
        if missing:
            raise ScoresError(
                f"{dump.paths[0]}: no features for {len(missing)} of {len(wanted)} videos of the manifest, first "
                f"{some(missing)}. Is a shard missing? Rerun snakemake to dump it."
            )
        _check_like_first(dump, dumps[0])
    rows = np.fromiter((where[video_id] for video_id in wanted), np.int64, len(wanted))
    return np.where(dumps[0].present[rows], rows, -1)


def _check_like_first(dump: Features, first: Features) -> None:
    """Dumps that are draws of one stream differ in their clip starts and in nothing else."""
    path, other = dump.paths[0], first.paths[0]
    if not np.array_equal(dump.video_ids, first.video_ids):
        raise ScoresError(
            f"{path}: other videos, or in another order, than in {other}; dump both from one manifest."
        )
    differ = dump.present != first.present
    if differ.any():
        raise ScoresError(
            f"{path}: {differ.sum()} videos are absent here or in {other}, but not in both, first "
            f"{some(dump.video_ids[differ], 1)}. Dump both from the same videos."
        )
    if (dump.num_crops, dump.width) != (first.num_crops, first.width):
        raise ScoresError(
            f"{path}: {dump.num_crops} crops and widths {dump.width}, but {other} has {first.num_crops} and "
            f"{first.width}. Dump both with the same settings."
        )


def _check_aligned(streams: Sequence[Sequence[Features]]) -> None:
    all_dumps = [dump for dumps in streams for dump in dumps]
    for dump in all_dumps:
        check_classes(dump.paths[0], dump.classes, all_dumps[0].classes, all_dumps[0].paths[0])
    heard = [dump for dump in all_dumps if dump.present.any()]  # one without any video tells no crops
    for dump in heard:
        if dump.num_clips != heard[0].num_clips:
            raise ScoresError(
                f"{dump.paths[0]}: {dump.num_clips} clips per video, but {heard[0].paths[0]} has "
                f"{heard[0].num_clips}. Dump all streams of one aggregation with the same num_clips."
            )
