"""Annotation formats: each file of this package reads one kind, and `DATASETS` names them.

A reader gives one row per video with the columns of `rows.COLUMNS`; it opens no video. A new format is one
function and one line here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lgdnet.datasets import folders, hmdb51, kinetics, lists, plain, ucf101
from lgdnet.datasets.rows import AnnotationError, Annotations

__all__ = ["DATASETS", "AnnotationError", "Annotations", "Dataset"]


@dataclass(frozen=True)
class Dataset:
    """`read` gives the rows of one split; `classes_beside` the class list that lies beside a file.

    `ids_are_names`: a row has no path; its file is found under the video root by its name.
    """

    read: Callable[[Annotations], pd.DataFrame]
    classes_beside: Callable[[Path], list[str] | None] = lambda annotations: None
    ids_are_names: bool = False


DATASETS: dict[str, Dataset] = {
    "csv": Dataset(plain.read),
    "folders": Dataset(folders.read),
    "kinetics-csv": Dataset(kinetics.read_csv, ids_are_names=True),
    "kinetics-json": Dataset(kinetics.read_json, ids_are_names=True),
    "ucf101": Dataset(ucf101.read, ucf101.classes_beside),
    "hmdb51": Dataset(hmdb51.read, hmdb51.classes_beside),
    "mmaction2": Dataset(lists.read_mmaction2),
    "tsn": Dataset(lists.read_tsn),
    "coviar": Dataset(lists.read_coviar, lists.classes_beside),
}
