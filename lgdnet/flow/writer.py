"""The flow file: one HDF5 per shard, per video a run of JPEGs, one per pair of frames.

jpeg          (bytes,)      uint8    all JPEGs, one after the other, in the order of the manifest
num_bytes     (fields,)     uint32   length of each JPEG
video_id, num_frames, height, width, source_digest, first_field, first_byte     (videos,)
attributes    format, recipe (JSON: algorithm, parameters, bound, short_side, quality), provenance, complete

A field is 8 bit, x above y (`fields`). A video of n frames has exactly n - 1 fields. Every dataset carries
checksums, so that damage is found while reading; `complete` comes last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from lgdnet.artefact import atomic, digest
from lgdnet.flow.errors import FlowError
from lgdnet.flow.journal import FlowJournal
from lgdnet.flow.recipe import FORMAT, Recipe

BYTES_PER_CHUNK = 64 * 1024  # of the JPEGs: about one clip of 16 fields
FIELDS_PER_CHUNK = 4096


class FlowWriter:
    """Write the flow of `video_ids` to an HDF5 file that is whole or absent, video by video, in any order.

    ```python
    with FlowWriter(path, video_ids=ids, num_frames=counts, recipe=recipe, provenance=...) as writer:
        for row in writer.missing:
            writer.add(row, fields, height=64, width=85)
    ```
    Finished videos wait in `<path>.journal`; a process that was killed goes on after them if the recipe and the
    videos are the same. The bytes of the file depend on neither kills nor the order of `add`. Leaving the block
    without an error while videos are missing is a FlowError.
    """

    def __init__(
        self,
        path: Path,
        *,
        video_ids: Sequence[str] | np.ndarray,
        num_frames: Sequence[int] | np.ndarray,
        recipe: Recipe,
        provenance: Mapping[str, str],
        source_digests: Sequence[str] | np.ndarray | None = None,
    ) -> None:
        self.path = path
        self.video_ids = [str(video_id) for video_id in video_ids]
        self.num_frames = [int(n) for n in num_frames]
        self.source_digests = (
            [str(d) for d in source_digests] if source_digests is not None else [""] * len(self.video_ids)
        )
        self.recipe = recipe
        self.provenance = dict(provenance)
        header = {
            "format": FORMAT,
            "recipe": asdict(recipe),
            "videos": digest([self.video_ids, self.num_frames, self.source_digests]),
        }
        self._journal = FlowJournal(path.with_name(path.name + ".journal"), header)

    @property
    def missing(self) -> list[int]:
        """Rows that no process has finished yet."""
        return [row for row in range(len(self.video_ids)) if row not in self._journal.records]

    def add(self, row: int, fields: Sequence[bytes], *, height: int, width: int) -> None:
        """The JPEGs of one video, in order: exactly one fewer than it has frames."""
        expected = self.num_frames[row] - 1
        if len(fields) != expected:
            raise FlowError(
                f"{self.video_ids[row]}: {len(fields)} flow fields, but the manifest says {expected + 1} frames, "
                f"so {expected}. The video has changed: run `snakemake manifest` again."
            )
        head = {"row": row, "height": height, "width": width, "num_bytes": [len(field) for field in fields]}
        self._journal.append(head, fields)

    def __enter__(self) -> "FlowWriter":
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
        if self.missing:
            raise FlowError(
                f"{self.path}: {len(self.missing)} of {len(self.video_ids)} videos have no flow yet, first "
                f"{self.video_ids[self.missing[0]]!r}. Run the same command again to go on."
            )
        with (
            atomic(self.path) as tmp,
            h5py.File(tmp, "w", libver=("v110", "v110")) as h5,
        ):  # metadata with checksums
            self._write(h5)
        self._journal.path.unlink()

    def _write(self, h5: h5py.File) -> None:
        rows = range(len(self.video_ids))
        records = [self._journal.records[row] for row in rows]
        lengths = [np.asarray(record.head["num_bytes"], np.uint32) for record in records]
        num_bytes = np.concatenate([*lengths, np.zeros(0, np.uint32)])
        total = sum(record.length for record in records)
        jpeg = create(h5, "jpeg", total, "u1", BYTES_PER_CHUNK)
        position = 0
        for payload in self._journal.payloads(rows):
            jpeg[position : position + len(payload)] = np.frombuffer(payload, np.uint8)
            position += len(payload)
        tables = {
            "num_bytes": num_bytes,
            "num_frames": np.asarray(self.num_frames, np.int64),
            "height": np.asarray([record.head["height"] for record in records], np.int32),
            "width": np.asarray([record.head["width"] for record in records], np.int32),
            "first_field": np.cumsum([0, *map(len, lengths)])[:-1],
            "first_byte": np.cumsum([0, *(record.length for record in records)])[:-1],
            "video_id": np.char.encode(np.asarray(self.video_ids, dtype=str), "utf-8"),
            "source_digest": np.char.encode(np.asarray(self.source_digests, dtype=str), "utf-8"),
        }
        for name, values in tables.items():
            create(h5, name, len(values), values.dtype, FIELDS_PER_CHUNK)[:] = values
        h5.attrs.update({"format": FORMAT, "recipe": self.recipe.to_json()})
        h5.attrs.update(self.provenance)
        h5.attrs["complete"] = len(records)  # last: a file without it is not whole


def create(h5: h5py.File, name: str, length: int, dtype: np.dtype | str, chunk: int) -> h5py.Dataset:
    """A dataset of one dimension with checksums; HDF5 has none for empty ones."""
    if length == 0 or np.dtype(dtype).itemsize == 0:
        return h5.create_dataset(name, (length,), np.dtype(dtype) if np.dtype(dtype).itemsize else "S1")
    return h5.create_dataset(name, (length,), dtype, chunks=(min(chunk, length),), fletcher32=True)
