"""Writing a features file: one shard of a split, every view of every video, resumable inside the shard."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

import h5py
import numpy as np

from lgdnet.artefact import atomic, digest
from lgdnet.scores.errors import ScoresError, check_unique
from lgdnet.scores.hdf5 import create, write_attributes, write_text
from lgdnet.scores.journal import Journal

FORMAT = "lgdnet-features-1"
VIDEOS_PER_BATCH = 64  # rows moved at once from the journal to HDF5


class FeaturesWriter:
    """Write the views of `video_ids`, in that order, to an HDF5 file that is whole or absent.

    ```python
    with FeaturesWriter(path, video_ids=ids, num_views=20, classes=classes, ...) as writer:
        for video_id in ids[writer.num_done:]:
            writer.add(video_id, starts, crops, features_local, features_global, logits)
    ```
    Views grow in `<path>.journal`; a process that was killed goes on after the last whole video, if settings,
    videos, classes and checkpoint are the same. Leaving the block without an error turns the journal into the
    file, and is a `ScoresError` while videos are missing.

    `dtype` holds for features; logits are always float32. `cost` goes with every score made from this file
    into the leaderboard: `parameters`, `gflops_per_clip`.
    """

    def __init__(
        self,
        path: Path,
        *,
        video_ids: Sequence[str] | np.ndarray,
        num_views: int,
        classes: Sequence[str],
        provenance: Mapping[str, str],
        checkpoint_digest: str,
        dtype: Literal["float16", "float32"] = "float16",
        cost: Mapping[str, float] | None = None,
    ) -> None:
        self.path = path
        self.video_ids = [str(video_id) for video_id in video_ids]
        self.num_views = num_views
        self.classes = list(classes)
        self.provenance = dict(provenance)
        self.checkpoint_digest = checkpoint_digest
        self.dtype = np.dtype(dtype)
        self.cost = dict(cost or {})
        check_unique(path, self.video_ids)
        # Only what shapes the rows: a new commit between kill and retry goes on where the old one stopped.
        header = {
            "video_ids": digest(self.video_ids),
            "classes": digest(self.classes),
            "settings": digest(self.provenance.get("settings", "")),
            "inputs": digest(self.provenance.get("inputs", "")),
            "checkpoint_digest": checkpoint_digest,
            "num_views": num_views,
            "dtype": dtype,
        }
        self._journal = Journal(path.with_name(path.name + ".journal"), header)

    @property
    def num_done(self) -> int:
        """Videos that are safely written, by this process or an earlier one."""
        return self._journal.num_records

    def add(
        self,
        video_id: str,
        starts: Sequence[int] | np.ndarray,
        crops: Sequence[int] | np.ndarray,
        features_local: np.ndarray,
        features_global: np.ndarray | None,
        logits: np.ndarray,
    ) -> None:
        """Views of the next video: (V,) first frames, (V,) crop indices, (V, C), (V, C) or None, (V, K)."""
        if features_global is None:
            features_global = np.zeros((self.num_views, 0), np.float32)
        views = {
            "start_frame": np.asarray(starts),
            "crop": np.asarray(crops),
            "features_local": np.asarray(features_local),
            "features_global": np.asarray(features_global),
            "logits": np.asarray(logits, np.float32),
        }
        self._check_next(video_id)
        self._check_views(video_id, views)
        self._journal.append({"present": 1, **views})

    def add_absent(self, video_id: str) -> None:
        """The next video has nothing for this stream (no sound track): known, and no error later."""
        self._check_next(video_id)
        if self._journal.record is None:
            self._journal.begin(self._fields({}))
        self._journal.append({"present": 0})

    def _fields(self, views: Mapping[str, np.ndarray]) -> list[tuple[str, str, list[int]]]:
        V, kind = self.num_views, self.dtype.str
        width = {name: value.shape[-1] for name, value in views.items()}
        return [
            ("present", "|u1", []),
            ("start_frame", "<i4", [V]),
            ("crop", "<i2", [V]),
            ("features_local", kind, [V, width.get("features_local", 0)]),
            ("features_global", kind, [V, width.get("features_global", 0)]),
            ("logits", "<f4", [V, len(self.classes)]),
        ]

    def _check_next(self, video_id: str) -> None:
        assert self.num_done < len(self.video_ids), (
            f"{self.path}: all {len(self.video_ids)} videos are written"
        )
        expected = self.video_ids[self.num_done]
        assert video_id == expected, f"{self.path}: the next video is {expected!r}, not {video_id!r}"

    def _check_views(self, video_id: str, views: dict[str, np.ndarray]) -> None:
        record = self._journal.record
        if record is None:
            self._journal.begin(self._fields(views))
        elif record["features_local"].shape[1] == 0 and views["features_local"].shape[-1] > 0:
            self._widen(views)
        record = self._journal.record
        assert record is not None
        for name, value in views.items():
            expected = record[name].shape
            if value.shape != expected:
                raise ScoresError(
                    f"{self.path}: {name} of {video_id!r} has shape {value.shape}, others {expected}."
                )
            with np.errstate(over="ignore"):
                stored = value.astype(record[name].base)
            if not np.isfinite(stored).all():
                raise ScoresError(self._not_finite(video_id, name, value))

    def _widen(self, views: Mapping[str, np.ndarray]) -> None:
        """The first videos were all absent, so the journal did not know the width: write it again with it."""
        num_absent = self._journal.num_records
        self._journal.restart(self._fields(views))
        for _ in range(num_absent):
            self._journal.append({"present": 0})

    def _not_finite(self, video_id: str, name: str, value: np.ndarray) -> str:
        if np.isfinite(value).all():
            largest = np.abs(value).max()
            return (
                f"{self.path}: {name} of {video_id!r} reach {largest:.3g}, beyond float16. "
                f"Set dtype: float32 for the dump of this stream."
            )
        return (
            f"{self.path}: {name} of {video_id!r} are NaN or infinite. "
            f"The network diverged: look at the training of this stream."
        )

    def __enter__(self) -> "FeaturesWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._journal.close()

    def _finish(self) -> None:
        if self.num_done != len(self.video_ids):
            raise ScoresError(
                f"{self.path}: {self.num_done} of {len(self.video_ids)} videos were scored, next "
                f"{self.video_ids[self.num_done]!r}. Run the same command again to go on."
            )
        if self._journal.record is None:
            self._journal.begin(self._fields({}))
        with atomic(self.path) as tmp, create(tmp) as h5:
            self._write(h5, self._journal.record, self.num_done)
        self._journal.path.unlink()

    def _write(self, h5: h5py.File, record: np.dtype | None, num_records: int) -> None:
        assert record is not None and record.names is not None
        names = [name for name in record.names if name != "crc"]
        for name in names:
            shape = record[name].shape
            # One chunk per video for what is large: a random read of 20 clips touches nothing else.
            rows = 1 if len(shape) == 2 else max(1, min(num_records, 4096))
            chunks = (rows, *shape) if num_records and 0 not in shape else None
            h5.create_dataset(
                name,
                (num_records, *shape),
                record[name].base,
                chunks=chunks,
                fletcher32=chunks is not None,
            )
        first = 0
        for batch in self._journal.blocks(VIDEOS_PER_BATCH):
            for name in names:
                if h5[name].size:
                    h5[name][first : first + len(batch)] = batch[name]
            first += len(batch)
        write_text(h5, "video_id", self.video_ids)
        write_text(h5, "classes", self.classes)
        attributes: dict[str, str | int] = {
            "format": FORMAT,
            "checkpoint_digest": self.checkpoint_digest,
            "cost": json.dumps(self.cost, sort_keys=True),
            "num_expected": len(self.video_ids),
            **self.provenance,
        }
        write_attributes(h5, attributes)
        h5.attrs["complete"] = num_records  # last: a file without it is not whole
