"""Reading feature files: lazily, over any number of shards, one video or a range at a time."""

import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lgdnet.scores.errors import ScoresError, check_classes, check_unique
from lgdnet.scores.hdf5 import read_attribute, read_text, reading
from lgdnet.scores.writer import FORMAT

CURE = "Delete it and dump it again."
MAX_OPEN_FILES = 128  # of 1,024 that a process usually may have


class OpenShard:
    """An open file and the datasets of it that were used."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._datasets: dict[str, h5py.Dataset] = {}

    def dataset(self, name: str) -> h5py.Dataset:
        if name not in self._datasets:
            self._datasets[name] = self.file[name]
        return self._datasets[name]


class Features:
    """The views of every video in several shards, in the order of the shards. Arrays stay on disk.

    `video_ids` (N,) str, `present` (N,) bool: False where the stream has nothing for a video (no sound).
    `read(name, row)` is one random read; names are `features_local`, `features_global` (V, C), `logits`
    (V, K), `start_frame` and `crop` (V,). Files are opened when first needed, in each process anew.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise ScoresError("no features files were given")
        self.paths = [Path(path) for path in paths]
        heads = [_read_head(path) for path in self.paths]
        first = heads[0]
        for path, head in zip(self.paths[1:], heads[1:], strict=True):
            _check_same_dump(path, head, self.paths[0], first)
        self.video_ids: np.ndarray = np.concatenate([head["video_ids"] for head in heads])
        self.present: np.ndarray = np.concatenate([head["present"] for head in heads])
        _check_unique_over_shards(self.paths, [head["video_ids"] for head in heads])
        self.classes: list[str] = first["classes"]
        self.num_views: int = first["num_views"]
        self.num_crops: int = max(head["num_crops"] for head in heads)
        self.width: dict[str, int] = _widths(heads)
        self.checkpoint_digest: str = first["checkpoint_digest"]
        self.settings: dict[str, Any] = json.loads(first["settings"])
        self.cost: dict[str, float] = first["cost"]
        self._first_row = np.cumsum([0] + [len(head["video_ids"]) for head in heads])
        self._open: OrderedDict[int, OpenShard] = OrderedDict()
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def num_clips(self) -> int:
        """Views are clips in order of time, each with its crops."""
        return self.num_views // self.num_crops

    def read(self, name: str, row: int) -> np.ndarray:
        """One array of one video, as stored: (V, C), (V, K) or (V,)."""
        shard = int(np.searchsorted(self._first_row, row, side="right")) - 1
        return self._read(shard, name, int(row - self._first_row[shard]))

    def read_range(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows start..stop of one array, over shards if need be: (stop - start, V, ...)."""
        parts = []
        for shard in range(len(self.paths)):
            low = max(start - int(self._first_row[shard]), 0)
            high = min(stop, int(self._first_row[shard + 1])) - int(self._first_row[shard])
            if low < high:
                part = self._read(shard, name, slice(low, high))
                if part.shape[2:] == (0,) and self.width[name]:  # a shard whose videos are all absent
                    part = np.zeros((high - low, self.num_views, self.width[name]), part.dtype)
                parts.append(part)
        return np.concatenate(parts)

    def _read(self, shard: int, name: str, rows: int | slice) -> np.ndarray:
        with reading(self.paths[shard], CURE):
            return self._dataset(shard, name)[rows]

    def _dataset(self, shard: int, name: str) -> h5py.Dataset:
        """Open datasets are kept: looking one up by name costs twice as much as reading a video."""
        if self._process != os.getpid():  # after a fork HDF5 handles must not be shared
            self._open, self._process = OrderedDict(), os.getpid()
        if shard not in self._open:
            if len(self._open) >= MAX_OPEN_FILES:
                self._open.popitem(last=False)[1].file.close()
            self._open[shard] = OpenShard(_open_file(self.paths[shard]))
        self._open.move_to_end(shard)
        return self._open[shard].dataset(name)

    def close(self) -> None:
        for shard in self._open.values():
            shard.file.close()
        self._open.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def read_features(paths: Sequence[Path]) -> Features:
    """Open the shards of one dump. A `ScoresError` names the file that is unfinished or of another dump."""
    return Features(paths)


def _open_file(path: Path) -> h5py.File:
    if not path.exists():
        raise ScoresError(f"{path}: no such features file. Dump this shard first.")
    return h5py.File(path, "r", locking=False)  # files never change once they have their name


def _read_head(path: Path) -> dict[str, Any]:
    """Everything but the large arrays."""
    with reading(path, CURE), _open_file(path) as h5:
        if read_attribute(h5, "format", "") != FORMAT:
            raise ScoresError(f"{path}: not a features file ({FORMAT}); was a score file given instead?")
        num_videos = len(h5["video_id"])
        if not h5.attrs.get("complete", -1) == h5.attrs["num_expected"] == num_videos:
            raise ScoresError(
                f"{path}: not complete, {h5.attrs.get('complete', 0)} of {h5.attrs['num_expected']} videos. {CURE}"
            )
        head = {
            "video_ids": read_text(h5, "video_id"),
            "present": h5["present"][:].astype(bool),
            "classes": read_text(h5, "classes").tolist(),
            "num_views": h5["logits"].shape[1],
            "num_crops": _num_crops(h5),
            "width": {name: h5[name].shape[2] for name in ("features_local", "features_global", "logits")},
            "checkpoint_digest": read_attribute(h5, "checkpoint_digest"),
            "settings": read_attribute(h5, "settings", "{}"),
            "cost": json.loads(read_attribute(h5, "cost")),
        }
        lengths = {len(h5[name]) for name in ("present", "features_local", "features_global", "logits")}
    if lengths != {num_videos}:
        raise ScoresError(f"{path}: its arrays have {sorted(lengths)} rows for {num_videos} videos. {CURE}")
    return head


def _num_crops(h5: h5py.File) -> int:
    """Different crops of the first video that is there; 1 in a shard without any."""
    there = np.flatnonzero(h5["present"][:])
    return len(np.unique(h5["crop"][there[0]])) if len(there) else 1


def _check_same_dump(path: Path, head: dict[str, Any], first_path: Path, first: dict[str, Any]) -> None:
    """Shards of one dump share checkpoint, classes, views and settings."""
    if head["checkpoint_digest"] != first["checkpoint_digest"]:
        raise ScoresError(
            f"{path}: dumped with checkpoint {head['checkpoint_digest'][:12]}, but {first_path} with "
            f"{first['checkpoint_digest'][:12]}. Delete the older one and dump it again."
        )
    check_classes(path, head["classes"], first["classes"], first_path)
    if head["num_views"] != first["num_views"] or head["settings"] != first["settings"]:
        raise ScoresError(
            f"{path}: {head['num_views']} views per video, dumped with {head['settings']}, but {first_path} "
            f"has {first['num_views']}, dumped with {first['settings']}. Dump both with the same settings."
        )


def _check_unique_over_shards(paths: Sequence[Path], ids: Sequence[np.ndarray]) -> None:
    merged = np.concatenate(ids)
    if len(np.unique(merged)) == len(merged):
        return
    seen: set[str] = set()
    for path, part in zip(paths, ids, strict=True):
        check_unique(path, part)
        if twice := seen & set(part.tolist()):
            raise ScoresError(
                f"{path}: {len(twice)} videos that an earlier shard has too, first {min(twice)!r}. "
                f"Was the split cut into another number of shards? Delete the old ones."
            )
        seen |= set(part.tolist())


def _widths(heads: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {name: max(head["width"][name] for head in heads) for name in heads[0]["width"]}
