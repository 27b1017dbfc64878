"""One folder per class: `{annotations}/{class}/any/depth/video.mp4`, all under the video root.

In the config the annotation of a split is its folder, relative to the video root (`train`), or absolute.
"""

from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, rows
from lgdnet.datasets.videos import list_videos


def read(annotations: Path, split: str, video_root: Path, classes: list[str] | None) -> pd.DataFrame:
    """Rows of one split; an id is the path without its suffix, so that equal names do not clash."""
    folder = annotations if annotations.is_absolute() else video_root / annotations
    if not folder.is_dir():
        raise AnnotationError(
            f"{folder}: no such folder for split {split!r}. Correct dataset.annotations in the config."
        )
    if not folder.resolve().is_relative_to(video_root.resolve()):
        raise AnnotationError(
            f"{folder}: lies outside the video root {video_root}. Choose a video root above it."
        )
    prefix = folder.resolve().relative_to(video_root.resolve()).as_posix()
    paths = [p for p in list_videos(folder) if "/" in p]  # files beside the class folders have no class
    if not paths:
        raise AnnotationError(
            f"{folder}: no class folder with videos. Expected {folder}/<class>/<video>.mp4."
        )
    full = pd.Series(paths if prefix == "." else [f"{prefix}/{p}" for p in paths])
    ids = full.str.replace(r"\.[^./]*$", "", regex=True)
    return rows(ids, full, pd.Series([p.split("/", 1)[0] for p in paths]), range(1, len(paths) + 1))
