"""List files, one video per line: MMAction2 `path label`, TSN `path num_frames label`, CoViAR `index label
path`.

Labels are numbers from 0 and mean lines of the class list. Paths may hold spaces. A file without labels is
one whose lines are paths only.
"""

from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, Annotations, lines_of, rows, without_suffix
from lgdnet.manifest import read_classes


def read_mmaction2(annotations: Annotations) -> pd.DataFrame:
    """`some/video.mp4 3`, or `some/video.mp4` where unlabelled."""
    return read_list(annotations, r"^(?P<path>.+?)(?:\s+(?P<label>\d+))?$", "path label")


def read_tsn(annotations: Annotations) -> pd.DataFrame:
    """`some/video.mp4 300 3`. A folder of frames is found to be no video later."""
    return read_list(annotations, r"^(?P<path>.+?)\s+\d+\s+(?P<label>\d+)$", "path num_frames label")


def read_coviar(annotations: Annotations) -> pd.DataFrame:
    """`0 3 some/video.mp4`, as compressed-video work lists HMDB51 and UCF101."""
    return read_list(annotations, r"^\d+\s+(?P<label>\d+)\s+(?P<path>.+)$", "index label path")


def read_list(annotations: Annotations, pattern: str, form: str) -> pd.DataFrame:
    """Lines of one form; the id is the path without its suffix."""
    lines = lines_of(annotations.path)
    parts = lines["text"].str.extract(pattern)
    bad = lines[parts["path"].isna()]
    if len(bad):
        raise AnnotationError(
            f"{annotations.path}: row {bad['row'].iloc[0]}: {bad['text'].iloc[0]!r} is not `{form}`. "
            "Correct the line."
        )
    label = names_of(annotations.path, lines, parts["label"], annotations.classes)
    return rows(without_suffix(parts["path"]), parts["path"], label, lines["row"])


def names_of(
    annotations: Path, lines: pd.DataFrame, numbers: pd.Series, classes: list[str] | None
) -> pd.Series:
    """Class names of label numbers; the numbers themselves where there is no class list."""
    numbers = numbers.fillna("")
    if classes is None:
        return numbers
    named = numbers.map({"": "", **{str(i): name for i, name in enumerate(classes)}})
    bad = lines[named.isna()]
    if len(bad):
        raise AnnotationError(
            f"{annotations}: row {bad['row'].iloc[0]}: label {numbers[bad.index[0]]} is not in the class "
            "list "
            f"of {len(classes)} (they count from 0). Correct the row or dataset.classes."
        )
    return named


def classes_beside(annotations: Path) -> list[str] | None:
    """`mapping_table.txt` in the same folder, as CoViAR's lists have it."""
    path = annotations.parent / "mapping_table.txt"
    return read_classes(path) if path.is_file() else None
