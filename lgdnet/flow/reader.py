"""Flow files, read at random by many processes. The format is described in `writer`."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from lgdnet.flow.errors import FlowError
from lgdnet.flow.fields import decode_field
from lgdnet.flow.recipe import AGAIN, FORMAT, Recipe


class FlowShard:
    """One flow file, read at random. Opened lazily, once per process; any number may read at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process = -1
        self._h5: h5py.File | None = None
        with self._reading():
            h5 = self._open()
            if h5.attrs.get("format") != FORMAT or "complete" not in h5.attrs:
                raise FlowError(f"{path}: not a whole flow file. {AGAIN}")
            self.recipe = Recipe.from_json(h5.attrs["recipe"])
            tables = ("num_frames", "height", "width", "first_field", "first_byte")
            self.num_frames, self.height, self.width, self.first_field, self.first_byte = (
                h5[name][:] for name in tables
            )
            self.video_ids = [text.decode() for text in h5["video_id"][:]]
            self.source_digests = [text.decode() for text in h5["source_digest"][:]]
            num_fields = len(h5["num_bytes"])
        if num_fields != int((self.num_frames - 1).sum()) or len(self.video_ids) != len(self.num_frames):
            raise FlowError(
                f"{path}: {num_fields} flow fields, but its {len(self.video_ids)} videos need "
                f"{int((self.num_frames - 1).sum())}. {AGAIN}"
            )

    def _reading(self) -> "DamageAsFlowError":
        return DamageAsFlowError(self.path)

    def _open(self) -> h5py.File:
        if self._h5 is None or self._process != os.getpid():  # a forked reader must not share our position
            self._h5 = h5py.File(self.path, "r")
            self._process = os.getpid()
        return self._h5

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_h5": None, "_process": -1}

    def read(self, video: int, fields: np.ndarray | Sequence[int]) -> np.ndarray:
        """Fields of the `video`-th video of this file, by number, in any order. -> (T, 2, H, W) uint8"""
        fields = np.asarray(fields, np.int64)
        count = int(self.num_frames[video]) - 1
        if fields.min() < 0 or fields.max() >= count:
            raise FlowError(
                f"{self.path}: {self.video_ids[video]!r} has flow fields 0 to {count - 1}, not {fields.max()}"
            )
        with self._reading():
            first = int(self.first_field[video])
            ends = np.cumsum(self._open()["num_bytes"][first : first + count], dtype=np.int64)
            starts = np.concatenate(([0], ends[:-1]))
            low, high = int(starts[fields.min()]), int(ends[fields.max()])
            offset = int(self.first_byte[video])
            content = self._open()["jpeg"][offset + low : offset + high]
        clip = np.empty((len(fields), 2, int(self.height[video]), int(self.width[video])), np.uint8)
        for out, field in zip(clip, fields, strict=True):
            out[:] = self._decoded(content[starts[field] - low : ends[field] - low], video)
        return clip

    def _decoded(self, jpeg: np.ndarray, video: int) -> np.ndarray:
        field = decode_field(jpeg, f"{self.path}: {self.video_ids[video]!r}")
        if field.shape[1:] != (self.height[video], self.width[video]):
            raise FlowError(f"{self.path}: {self.video_ids[video]!r}: a flow field has another size. {AGAIN}")
        return field


class DamageAsFlowError:
    """HDF5's complaints about a damaged or truncated file, as one line that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FileNotFoundError):
            raise FlowError(f"{self.path}: no such flow file. Make it with `snakemake flow`.") from None
        if isinstance(error, OSError | KeyError | RuntimeError | UnicodeDecodeError):
            raise FlowError(f"{self.path}: truncated or damaged ({error}). {AGAIN}") from None


class FlowFiles:
    """All shards of a split, as one: fields by video id. The shards must have one recipe.

    expected: the recipe of the settings in force; files made otherwise are an error, never used.
    """

    def __init__(self, paths: Sequence[Path], *, expected: Recipe | None = None) -> None:
        self.shards = [FlowShard(path) for path in paths]
        if not self.shards:
            raise FlowError("no flow files were given; make them with `snakemake flow`")
        self.recipe = self.shards[0].recipe
        for shard in self.shards:
            wanted = expected or self.recipe
            if difference := shard.recipe.differences(wanted):
                whose = "the settings" if expected else str(self.shards[0].path)
                raise FlowError(f"{shard.path}: made with {difference}, unlike {whose}. {AGAIN}")
        self.place: dict[str, tuple[FlowShard, int]] = {}
        for shard in self.shards:
            for i, video_id in enumerate(shard.video_ids):
                if video_id in self.place:
                    other = self.place[video_id][0].path
                    raise FlowError(
                        f"{shard.path}: {video_id!r} is in {other} too. Files of another number of shards? "
                        f"Delete {shard.path.parent} and run `snakemake flow`."
                    )
                self.place[video_id] = (shard, i)

    def check(
        self, video_ids: Sequence[str], num_frames: Sequence[int], digests: Sequence[str] | None = None
    ) -> None:
        """Every video is here, with as many frames and, where known, the same content as the manifest says."""
        missing = [video_id for video_id in video_ids if video_id not in self.place]
        if missing:
            raise FlowError(
                f"{self.shards[0].path}: no flow for {len(missing)} of {len(video_ids)} videos, first {missing[0]!r}. {AGAIN}"
            )
        for i, video_id in enumerate(video_ids):
            shard, video = self.place[video_id]
            if shard.num_frames[video] != num_frames[i]:
                raise FlowError(
                    f"{shard.path}: {video_id!r} had {shard.num_frames[video]} frames, the manifest says "
                    f"{num_frames[i]}. {AGAIN}"
                )
            if digests is not None and shard.source_digests[video] != digests[i]:
                raise FlowError(f"{shard.path}: {video_id!r} was made from another video file. {AGAIN}")

    def num_fields(self, video_id: str) -> int:
        """n - 1 for a video of n frames."""
        shard, video = self.place[video_id]
        return int(shard.num_frames[video]) - 1

    def read(self, video_id: str, fields: np.ndarray | Sequence[int]) -> np.ndarray:
        """Fields by number. -> (T, 2, H, W) uint8"""
        shard, video = self.place[video_id]
        return shard.read(video, fields)


def flow_files(path: Path) -> list[Path]:
    """A flow file, or all of a folder, in order."""
    return sorted(path.glob("*.h5")) if path.is_dir() else [path]
