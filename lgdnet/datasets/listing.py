"""Annotation files of all splits as one checked table; no video is opened."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lgdnet.datasets import DATASETS, AnnotationError, Annotations
from lgdnet.datasets.videos import SUFFIXES, check_paths, check_root, find_by_name
from lgdnet.log import warn
from lgdnet.manifest import read_classes
from lgdnet.settings import DatasetSettings


def list_dataset(
    dataset: DatasetSettings, data_root: Path = Path(), *, allow_duplicates: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """Every row of every split, checked, and the class names; no video is opened.

    Columns: split, video_id, path, label, class_index, row.
    """
    if not dataset.annotations:
        raise AnnotationError("config: dataset.annotations is empty. Name a file for at least one split.")
    if dataset.format != "csv" and (dataset.select or dataset.ignore_columns):
        raise AnnotationError("config: dataset: select and ignore_columns belong to format csv only.")
    kind = DATASETS[dataset.format]
    video_root = data_root / dataset.video_root
    files: dict[str, Path] = {
        split: data_root / dataset.in_fold(path) for split, path in dataset.annotations.items()
    }
    check_root(video_root, dataset.media)
    names = class_list(dataset, data_root, files)
    tables: dict[str, pd.DataFrame] = {
        split: kind.read(
            Annotations(
                path,
                split,
                video_root,
                classes=names,
                split_name=dataset.splits.get(split),  # type: ignore[call-overload]
                fold=dataset.fold,
                select=dataset.select,
                ignore_columns=dataset.ignore_columns,
                suffixes=SUFFIXES[dataset.media],
            )
        )
        for split, path in files.items()
    }
    names = classes_of(tables) if names is None else names
    for split, path in files.items():
        check_split(path, tables[split], names, dataset.classes, video_root)
    videos = pd.concat([t.assign(split=split) for split, t in tables.items()], ignore_index=True)
    check_ids_across_splits(videos, files, allow_duplicates=allow_duplicates)
    if kind.ids_are_names:
        videos["path"] = find_by_name(videos["video_id"], video_root)
    index = {name: i for i, name in enumerate(names)}
    videos["class_index"] = videos["label"].map(index).fillna(-1).astype("int64")
    return videos, names


def class_list(dataset: DatasetSettings, data_root: Path, files: Mapping[str, Path]) -> list[str] | None:
    """The class list of the settings, or the one that lies beside the annotations, or None."""
    if dataset.classes:
        return read_classes(data_root / dataset.classes)
    return DATASETS[dataset.format].classes_beside(next(iter(files.values())))


def classes_of(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Labels of the training split in alphabetical order; of all splits where there is no training split.

    Labels that are all numbers (list files without a class list) are put in order as numbers.
    """
    chosen = [tables["train"]] if "train" in tables else list(tables.values())
    labels = sorted({label for table in chosen for label in table["label"].unique()} - {""})
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else labels


def check_split(
    annotations: Path, table: pd.DataFrame, names: list[str], classes: Path | None, video_root: Path
) -> None:
    """One split: labels known, ids unique, paths inside the root."""
    unknown = table[(table["label"] != "") & ~table["label"].isin(names)]
    if len(unknown):
        row, label = unknown["row"].iloc[0], unknown["label"].iloc[0]
        where = f"the class list {classes}" if classes else f"the {len(names)} classes of the training split"
        raise AnnotationError(
            f"{annotations}: row {row}: label {label!r} is not in {where}{nearest(label, names)}. "
            "Correct the row, or name a complete list in dataset.classes."
        )
    repeated = table[table["video_id"].duplicated()]
    if len(repeated):
        raise AnnotationError(
            f"{annotations}: row {repeated['row'].iloc[0]}: video id {repeated['video_id'].iloc[0]!r} "
            "stands there twice. "
            "Remove one of the rows."
        )
    check_paths(annotations, table, video_root)


def nearest(label: str, names: list[str]) -> str:
    """`; did you mean 'walk'?` where something is near."""
    import difflib

    near = difflib.get_close_matches(label, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_ids_across_splits(
    videos: pd.DataFrame, annotations: Mapping[str, Path], *, allow_duplicates: bool
) -> None:
    """An id may stand in one split only, unless allowed (Kinetics-600 repeats 28 in validation and test)."""
    repeated = videos["video_id"].duplicated()
    if not repeated.any():
        return
    second = videos[repeated].iloc[0]
    first = videos[videos["video_id"] == second["video_id"]].iloc[0]
    message = (
        f"{annotations[second['split']]}: row {second['row']}: video id {second['video_id']!r} is also in split "
        f"{first['split']!r} ({annotations[first['split']]}, row {first['row']})"
    )
    if not allow_duplicates:
        raise AnnotationError(f"{message}. Remove one of them, or set manifest.allow_duplicates: true.")
    warn(f"{message}, and {int(repeated.sum()) - 1} more; allowed by manifest.allow_duplicates")
