"""The columns of a manifest that scores are judged by, and the videos that are missing in it.

A list of anyone's scores needs no more columns than these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from lgdnet.scores.errors import ScoresError, check_unique, some
from lgdnet.settings.base import Split


@dataclass(frozen=True)
class Labels:
    """N videos: `video_ids` (N,) str, `labels` (N,) int64, -1 where the split has none, and their `names`.

    `names` (N,) str are empty where the manifest has no column `label`.
    """

    path: Path
    video_ids: np.ndarray
    labels: np.ndarray
    names: np.ndarray

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def labelled(self) -> bool:
        return bool(len(self.labels)) and bool((self.labels >= 0).all())


def read_labels(path: Path) -> Labels:
    """Read `video_id`, `class_index` (all -1 without that column) and `label` of a manifest CSV."""
    table = read_table(path, ("video_id",), what="manifest")
    check_unique(path, table["video_id"].to_numpy())
    nothing = np.full(len(table), "", dtype=str)
    return Labels(
        path,
        table["video_id"].to_numpy(dtype=str),
        _indices(path, table["class_index"]) if "class_index" in table else np.full(len(table), -1),
        table["label"].to_numpy(dtype=str) if "label" in table else nothing,
    )


def read_table(path: Path, needed: Sequence[str], *, what: str) -> pd.DataFrame:
    """A CSV file with the `needed` columns, every cell as text."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such {what}. Rerun snakemake to make it.") from None
    except ValueError as error:
        raise ScoresError(f"{path}: not a {what} ({error}). Rerun snakemake to make it again.") from None
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise ScoresError(f"{path}: no column {missing[0]}; a {what} needs at least {', '.join(needed)}.")
    return table


def _indices(path: Path, column: pd.Series) -> np.ndarray:
    whole = column.str.fullmatch(r"-1|\d{1,9}").to_numpy(bool)
    if not whole.all():
        row = int(np.flatnonzero(~whole)[0])
        raise ScoresError(
            f"{path}: row {row + 2}: class_index {column.iloc[row]!r} is no class; whole numbers from 0 are needed, "
            f"or -1 where there is no label."
        )
    return column.to_numpy().astype(np.int64)


def check_labels(labels: Labels, classes: Sequence[str], source: Path) -> None:
    """Every video labelled, and with a class of the scores in `source`: the same index and the same name."""
    if not labels.labelled:
        num_unlabelled = int((labels.labels < 0).sum())
        raise ScoresError(
            f"{labels.path}: {num_unlabelled} of {len(labels)} videos have no label (class_index -1), so "
            f"scores cannot be judged on this split. Use the validation split."
        )
    check_class_order(labels, classes, source)


def check_class_order(labels: Labels, classes: Sequence[str], source: Path) -> None:
    """Column k of the scores is the class that the manifest calls k, wherever a video is labelled."""
    known = labels.labels >= 0
    if known.any() and labels.labels.max() >= len(classes):
        raise ScoresError(
            f"{source}: {len(classes)} classes, but {labels.path} has class_index {labels.labels.max()}. "
            f"Were they made with another class list?"
        )
    known &= labels.names != ""
    expected = np.asarray(classes, dtype=str)[labels.labels[known]]
    wrong = np.flatnonzero(expected != labels.names[known])
    if len(wrong):
        row = int(np.flatnonzero(known)[wrong[0]])
        raise ScoresError(
            f"{source}: its class {labels.labels[row]} is {str(expected[wrong[0]])!r}, but {labels.path} calls it "
            f"{str(labels.names[row])!r}. Make both with one class list; import-scores orders columns with "
            f"--class-order."
        )


def rejected_ids(path: Path, labels: Labels, split: str | None = None) -> list[str]:
    """Videos of the split in rejected.csv: unreadable, so in no manifest, and wrong like every missing video.

    The split is that of the manifest's name where it is not given.
    """
    split = split or labels.path.stem
    if split not in get_args(Split):
        raise ScoresError(
            f"{labels.path}: is it the train, the validation or the test split? Say it with --split, so that its "
            f"videos in {path} are counted."
        )
    table = read_table(path, ("video_id", "split"), what="list of rejected videos")
    rejected = table.loc[table["split"] == split, "video_id"].tolist()
    both = sorted(set(rejected) & set(labels.video_ids.tolist()))
    if both:
        raise ScoresError(
            f"{path}: {len(both)} of its videos are in {labels.path} too, first {some(both, 1)}. "
            f"Are they of one run? Rerun `snakemake manifest`."
        )
    return rejected
