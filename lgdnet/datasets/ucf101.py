"""UCF101's official splits: `trainlist01.txt`, with lines `Class/v_Class_g01_c01.avi 1`, and `testlist01.txt`.

Test lists have no numbers. The class is the folder in the path; the numbers must agree with `classInd.txt` beside the lists.
"""

from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, Annotations, lines_of, name_of, rows
from lgdnet.manifest import read_classes


def read(annotations: Annotations) -> pd.DataFrame:
    """Rows of one list; the id is the file's name."""
    lines = lines_of(annotations.path)
    parts = lines["text"].str.extract(r"^(?P<path>(?P<label>[^/]+)/\S+)(?:\s+(?P<number>\d+))?$")
    bad = lines[parts["path"].isna()]
    if len(bad):
        raise AnnotationError(
            f"{annotations.path}: row {bad['row'].iloc[0]}: {bad['text'].iloc[0]!r} is not "
            "`Class/video.avi [number]`. Use the official list."
        )
    if annotations.classes is not None:
        check_numbers(annotations.path, lines, parts, annotations.classes)
    return rows(name_of(parts["path"]), parts["path"], parts["label"], lines["row"])


def check_numbers(annotations: Path, lines: pd.DataFrame, parts: pd.DataFrame, classes: list[str]) -> None:
    """Where a list gives numbers (from 1), they mean the classes that the paths name."""
    numbered = parts["number"].notna()
    index = parts.loc[numbered, "number"].astype("int64") - 1
    named = index.map(dict(enumerate(classes)))
    wrong = lines.loc[numbered][named != parts.loc[numbered, "label"]]
    if len(wrong):
        raise AnnotationError(
            f"{annotations}: row {wrong['row'].iloc[0]}: the number in {wrong['text'].iloc[0]!r} is not "
            "that of its class "
            "in the class list. Use the official classInd.txt."
        )


def classes_beside(annotations: Path) -> list[str] | None:
    """`classInd.txt` in the same folder."""
    path = annotations.parent / "classInd.txt"
    return read_classes(path) if path.is_file() else None
