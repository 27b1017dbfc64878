"""Kinetics-400, 600, 700 and 700-2020: CSV and JSON, labelled or not.

The id of a video is `<youtube id>_<start>_<end>`, seconds without padding, as submissions write it; files on
disk are usually named with six digits each.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, Annotations, check_columns, check_file, only_split, rows
from lgdnet.datasets.rows import read_csv as read_table

MAX_SEC = 10_000_000  # of a time within a video, four months; far below what 64 bits hold
NUMBER = r"-?\d+(?:\.\d*)?"


def read_csv(annotations: Annotations) -> pd.DataFrame:
    """Rows of one split of `label,youtube_id,time_start,time_end,split`, also with `is_cc` or without
    `label`.
    """
    path = annotations.path
    table = read_table(path)
    check_columns(
        path,
        table,
        required=("youtube_id", "time_start", "time_end"),
        optional=("label", "split", "is_cc"),
    )
    table = only_split(annotations, table)
    for column in ("time_start", "time_end"):
        bad = table[~table[column].str.fullmatch(NUMBER)]
        if len(bad):
            raise AnnotationError(
                f"{path}: row {bad['row'].iloc[0]}: {column} is {bad[column].iloc[0]!r}, "
                "not a number of seconds. Correct the row."
            )
        bad = table[table[column].astype("float64").abs() > MAX_SEC]
        if len(bad):
            raise AnnotationError(
                f"{path}: row {bad['row'].iloc[0]}: {column} is {bad[column].iloc[0]!r}, "
                f"more than {MAX_SEC:,} seconds. Correct the row."
            )
    start, end = (
        table[c].astype("float64").astype("int64").astype("str") for c in ("time_start", "time_end")
    )
    label = table["label"] if "label" in table.columns else [""] * len(table)
    return rows(table["youtube_id"] + "_" + start + "_" + end, [""] * len(table), label, table["row"])


def read_json(annotations: Annotations) -> pd.DataFrame:
    """Rows of one split of `{"<youtube id>": {"annotations": {"label", "segment"}, "subset", ...}}`."""
    path = annotations.path
    check_file(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON ({error}). Download it again.") from None
    if not isinstance(entries, dict):
        raise AnnotationError(f"{path}: not an object of youtube ids. Download it again.")
    table = pd.DataFrame([json_row(path, i, *item) for i, item in enumerate(entries.items(), 1)])
    if table.empty:
        raise AnnotationError(f"{path}: no video in it. Download it again.")
    table = only_split(annotations, table)
    return rows(table["video_id"], [""] * len(table), table["label"], table["row"])


def json_row(path: Path, row: int, youtube_id: str, entry: Any) -> dict[str, Any]:
    """One entry; the segment may stand within `annotations` or beside it, the label may be absent."""
    try:
        inner = entry.get("annotations", {})
        start, end = inner["segment"] if "segment" in inner else entry["segment"]
        video_id = f"{youtube_id}_{int(start)}_{int(end)}"
        return {"video_id": video_id, "label": inner.get("label", ""), "split": entry["subset"], "row": row}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AnnotationError(
            f"{path}: row {row}: entry {youtube_id!r} has no segment of two times or no subset. "
            "Correct the entry."
        ) from None
