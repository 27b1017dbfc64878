"""Our plain CSV: `video_id,path,label,split`; label and split are optional, path is relative to the video
root.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, check_columns, only_split, read_csv, rows, without_suffix


def read(
    annotations: Path,
    split: str,
    video_root: Path,
    classes: list[str] | None,
    *,
    select: str | None = None,
    ignore_columns: Sequence[str] = (),
) -> pd.DataFrame:
    """Rows of one split. Without a column video_id the path without its suffix is the id.

    `select` keeps the rows whose path matches a pattern (`birds/*.mp4`); `ignore_columns` may stand in the
    file and stay unread.
    """
    table = read_csv(annotations).drop(columns=list(ignore_columns), errors="ignore")
    check_columns(annotations, table, required=("path",), optional=("video_id", "label", "split"))
    if select is not None:
        table = table[table["path"].map(lambda path: fnmatchcase(path, select))]
        if table.empty:
            raise AnnotationError(f"{annotations}: no path matches {select!r}. Correct dataset.select.")
    table = only_split(annotations, table, split)
    empty = table[table["path"].str.strip() == ""]
    if len(empty):
        raise AnnotationError(
            f"{annotations}: row {empty['row'].iloc[0]}: the path is empty. Write it relative to the "
            "video root."
        )
    video_id = table["video_id"] if "video_id" in table.columns else without_suffix(table["path"])
    label = table["label"] if "label" in table.columns else pd.Series("", index=table.index)
    return rows(video_id, table["path"], label, table["row"])
