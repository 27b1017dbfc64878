"""One folder per class: the annotation of a split is a folder `train/{class}/any/depth/video.mp4` under the
video root.
"""

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, Annotations, rows
from lgdnet.datasets.videos import list_videos


def read(annotations: Annotations) -> pd.DataFrame:
    """Rows of one split; an id is the path without its suffix, so that equal names do not clash."""
    root, folder = annotations.video_root, annotations.path
    if not folder.is_dir():
        raise AnnotationError(
            f"{folder}: no such folder for split {annotations.split!r}. Correct dataset.annotations."
        )
    if not folder.resolve().is_relative_to(root.resolve()):
        raise AnnotationError(
            f"{folder}: lies outside the video root {root}. Set dataset.video_root above it."
        )
    prefix = folder.resolve().relative_to(root.resolve()).as_posix()
    paths = [
        path for path in list_videos(folder, annotations.suffixes) if "/" in path
    ]  # a file beside the folders has no class
    if not paths:
        raise AnnotationError(
            f"{folder}: no class folder with videos. Expected {folder}/<class>/<video>.mp4."
        )
    full = pd.Series(paths if prefix == "." else [f"{prefix}/{path}" for path in paths])
    ids = full.str.replace(r"\.[^./]*$", "", regex=True)
    return rows(ids, full, [path.split("/", 1)[0] for path in paths], range(1, len(paths) + 1))
