"""Our plain CSV: `video_id,path,label,split`; label and split are optional, path is relative to the video
root.
"""

from fnmatch import fnmatch

import pandas as pd

from lgdnet.datasets.rows import (
    AnnotationError,
    Annotations,
    check_columns,
    only_split,
    read_csv,
    rows,
    without_suffix,
)


def read(annotations: Annotations) -> pd.DataFrame:
    """Rows of one split. Without a column video_id the path without its suffix is the id."""
    path = annotations.path
    table = read_csv(path)
    table = table.drop(columns=[name for name in annotations.ignore_columns if name in table.columns])
    check_columns(path, table, required=("path",), optional=("video_id", "label", "split"))
    table = only_split(annotations, table)
    if annotations.select:
        table = selected(annotations, table)
    empty = table[table["path"].str.strip() == ""]
    if len(empty):
        raise AnnotationError(
            f"{path}: row {empty['row'].iloc[0]}: the path is empty. Write it relative to the video root."
        )
    video_id = table["video_id"] if "video_id" in table.columns else without_suffix(table["path"])
    label = table["label"] if "label" in table.columns else pd.Series("", index=table.index)
    return rows(video_id, table["path"], label, table["row"])


def selected(annotations: Annotations, table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose path matches the pattern; a `*` also stands for slashes."""
    pattern = annotations.select or "*"
    chosen = table[[fnmatch(path, pattern) for path in table["path"]]]
    if chosen.empty:
        raise AnnotationError(
            f"{annotations.path}: no path of split {annotations.split!r} matches {pattern!r}. "
            "Correct dataset.select."
        )
    return chosen
