"""The two columns of a manifest that scores are judged by; a list of anyone's scores needs no more."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lgdnet.scores.errors import ScoresError, check_unique


@dataclass(frozen=True)
class Labels:
    """N videos: `video_ids` (N,) str and `labels` (N,) int64, -1 where the split has none."""

    path: Path
    video_ids: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def labelled(self) -> bool:
        return bool(len(self.labels)) and bool((self.labels >= 0).all())


def read_labels(path: Path) -> Labels:
    """Read `video_id` and `class_index` (all -1 without that column) of a manifest CSV."""
    try:
        table = pd.read_csv(path, dtype={"video_id": str}, keep_default_na=False)
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such manifest. Rerun snakemake to make it.") from None
    if "video_id" not in table.columns:
        raise ScoresError(f"{path}: no column video_id; a manifest needs at least video_id and class_index.")
    check_unique(path, table["video_id"].to_numpy())
    labels = table["class_index"].to_numpy(np.int64) if "class_index" in table else np.full(len(table), -1)
    return Labels(path, table["video_id"].to_numpy(dtype=str), labels)


def check_labels(labels: Labels, num_classes: int, source: Path) -> None:
    """Every video labelled, and within the classes of the scores."""
    if not labels.labelled:
        num_unlabelled = int((labels.labels < 0).sum())
        raise ScoresError(
            f"{labels.path}: {num_unlabelled} of {len(labels)} videos have no label (class_index -1), so "
            f"scores cannot be judged on this split. Use the validation split."
        )
    if labels.labels.max() >= num_classes:
        raise ScoresError(
            f"{source}: {num_classes} classes, but {labels.path} has class_index {labels.labels.max()}. "
            f"Were they made with another class list?"
        )
