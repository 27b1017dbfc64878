"""The manifest: one CSV row per video of a split, the key of everything downstream.

manifest/{split}.csv     one row per usable video, columns below
manifest/rejected.csv    video_id, path, split, verdict, reason
manifest/classes.txt     one class per line, in index order
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lgdnet.artefact import atomic, write_text
from lgdnet.errors import InputError

# Name and pandas dtype of every column. `path` is relative to the video root. `width` and `height` are as
# shown, that is after rotation. `num_damaged` counts frames that are damaged, or follow damage before the next
# keyframe.
COLUMNS = {
    "video_id": "str",
    "path": "str",
    "label": "str",
    "class_index": "int64",
    "num_frames": "int64",
    "fps": "float64",
    "width": "int64",
    "height": "int64",
    "duration_sec": "float64",
    "has_audio": "bool",
    "rotation": "int64",
    "backend": "str",
    "digest": "str",
    "codec": "str",
    "pixel_format": "str",
    "has_constant_rate": "bool",
    "keyframe_interval": "int64",
    "num_damaged": "int64",
    "num_bytes": "int64",
}
REJECTED_COLUMNS = ("video_id", "path", "split", "verdict", "reason")
REQUIRED_COLUMNS = ("video_id", "path", "label", "class_index", "num_frames")


class ManifestError(InputError):
    """A manifest that cannot be read as one."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """Videos of one split, in file order."""

    path: Path
    table: pd.DataFrame
    first_row: int = 0  # row of the whole manifest where this shard begins

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def video_ids(self) -> np.ndarray:
        """(videos,) of str"""
        return self.table["video_id"].to_numpy(dtype=object)

    @cached_property
    def paths(self) -> np.ndarray:
        """(videos,) of str, relative to the video root"""
        return self.table["path"].to_numpy(dtype=object)

    @cached_property
    def labels(self) -> np.ndarray:
        """(videos,) int64 class indices, -1 where unlabelled"""
        return self.table["class_index"].to_numpy(np.int64)

    @cached_property
    def num_frames(self) -> np.ndarray:
        """(videos,) int64"""
        return self.table["num_frames"].to_numpy(np.int64)

    @cached_property
    def short_sides(self) -> np.ndarray:
        """(videos,) int64 pixels"""
        return self.table[["width", "height"]].min(axis=1).to_numpy(np.int64)

    @cached_property
    def has_audio(self) -> np.ndarray:
        """(videos,) bool"""
        return self.table["has_audio"].to_numpy(bool)

    @cached_property
    def backends(self) -> np.ndarray:
        """(videos,) of str: the reader that is exact for each file"""
        return self.table["backend"].to_numpy(dtype=object)

    @cached_property
    def digests(self) -> list[str] | None:
        """Content of each video file, (videos,); None in a list that was never probed"""
        return self.table["digest"].astype(str).tolist() if "digest" in self.table else None

    @cached_property
    def variable_rate(self) -> dict[str, int]:
        """Number of frames of each video, by id, whose frame numbers do not tell its times"""
        if "has_constant_rate" not in self.table.columns:
            return {}
        is_variable = ~self.table["has_constant_rate"].to_numpy(bool) & (self.num_frames > 0)
        return {str(self.video_ids[row]): int(self.num_frames[row]) for row in np.flatnonzero(is_variable)}

    def shard(self, index: int, num_shards: int) -> "Manifest":
        """The `index`-th of `num_shards` contiguous parts, whose lengths differ by one at most."""
        edges = [len(self) * i // num_shards for i in (index, index + 1)]
        return Manifest(self.path, self.table.iloc[edges[0] : edges[1]], self.first_row + edges[0])

    def only(self, chosen: np.ndarray) -> "Manifest":
        """The videos where `chosen`, (videos,) bool, is true, in the same order."""
        return Manifest(self.path, self.table[chosen], self.first_row)

    def __reduce__(self) -> tuple[Callable[..., "Manifest"], tuple[Any, ...]]:
        """A process that is not forked gets the path and the rows, not the table."""
        return reread_manifest, (self.path, self.table.index.to_numpy())


def reread_manifest(path: Path, rows: np.ndarray) -> Manifest:
    """Rows of a manifest file, by number: how a manifest travels between processes."""
    return Manifest(path, read_manifest(path).table.iloc[rows], int(rows[0]) if len(rows) else 0)


def read_manifest(path: Path) -> Manifest:
    """Read and check one split."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. Make it with `snakemake manifest`.")
    try:
        table = pd.read_csv(path, dtype=COLUMNS, keep_default_na=False, na_values={"fps": [""]})
    except (ValueError, pd.errors.ParserError) as error:
        raise ManifestError(
            f"{path}: not a manifest ({error}). Delete it and run `snakemake manifest`."
        ) from None
    missing = [name for name in REQUIRED_COLUMNS if name not in table.columns]
    if missing:
        raise ManifestError(
            f"{path}: column {missing[0]!r} is missing. Delete the file and run `snakemake manifest` to "
            "make it again."
        )
    repeated = table["video_id"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise ManifestError(
            f"{path}: row {row + 2}: video id {table['video_id'].iloc[row]!r} stands there twice. "
            "Delete the file and run `snakemake manifest` to make it again."
        )
    return Manifest(path, table)


def write_manifest(path: Path, table: pd.DataFrame) -> None:
    """Write one split; columns in their fixed order."""
    with atomic(path) as tmp:
        table[[name for name in COLUMNS if name in table.columns]].to_csv(tmp, index=False)


def write_rejected(path: Path, table: pd.DataFrame) -> None:
    """Write the videos that are not used, with the reason."""
    with atomic(path) as tmp:
        table[list(REJECTED_COLUMNS)].to_csv(tmp, index=False)


def read_rejected(path: Path) -> pd.DataFrame:
    """Columns `REJECTED_COLUMNS`, all text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def read_classes(path: Path) -> list[str]:
    """Class names in index order. Also reads the `1 ApplyEyeMakeup` of UCF101 and `0<TAB>brush_hair`.

    Numbers in front are dropped only if every line has one and they count up from 0 or 1.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such class list. Name a text file with one class per line.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ManifestError(f"{path}: the class list is not UTF-8. Save it as UTF-8.") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ManifestError(f"{path}: the class list is empty. Write one class per line.")
    split = [line.split(maxsplit=1) for line in lines]
    numbers = [int(s[0]) if len(s) == 2 and s[0].isdigit() else None for s in split]
    if numbers in ([*range(len(lines))], [*range(1, len(lines) + 1)]):
        lines = [s[1] for s in split]
    repeated = pd.Series(lines).duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise ManifestError(f"{path}: row {row + 1}: class {lines[row]!r} stands there twice. Remove one.")
    return lines


def write_classes(path: Path, classes: list[str]) -> None:
    """One class per line, in index order."""
    write_text(path, "".join(f"{name}\n" for name in classes))
