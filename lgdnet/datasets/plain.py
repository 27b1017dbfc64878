"""Our plain CSV: `video_id,path,label,split`; label and split are optional, path is relative to the video
root.
"""

from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, check_columns, only_split, read_csv, rows, without_suffix


def read(annotations: Path, split: str, video_root: Path, classes: list[str] | None) -> pd.DataFrame:
    """Rows of one split. Without a column video_id the path without its suffix is the id."""
    table = read_csv(annotations)
    check_columns(annotations, table, required=("path",), optional=("video_id", "label", "split"))
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
