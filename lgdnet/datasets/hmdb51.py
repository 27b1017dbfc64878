"""HMDB51's official splits: a folder of `<class>_test_split<fold>.txt` with lines `video.avi 0|1|2`.

1 is training, 2 is test, 0 is not used. The annotation of every split is that folder.
"""

from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, Annotations, lines_of, rows, without_suffix

CODE = {"train": "1", "validation": "2", "test": "2"}


def read(annotations: Annotations) -> pd.DataFrame:
    """Rows of one split of one fold; the id is the file's name."""
    path, code = annotations.path, CODE.get(annotations.split)
    if code is None:
        raise AnnotationError(
            f"{path}: HMDB51 has no split {annotations.split!r}. Known: {', '.join(CODE)}. "
            "Correct dataset.annotations."
        )
    files = class_files(path, annotations.fold)
    if not files:
        raise AnnotationError(
            f"{path}: no such annotation file as <class>_test_split{annotations.fold}.txt. "
            "Unpack test_train_splits.rar there, or correct dataset.fold (1 to 3)."
        )
    parts = [read_class(file, label, code) for label, file in files.items()]
    return pd.concat(parts, ignore_index=True)


def class_files(folder: Path, fold: int) -> dict[str, Path]:
    """The file of every class for one fold, in alphabetical order."""
    suffix = f"_test_split{fold}.txt"
    return {path.name.removesuffix(suffix): path for path in sorted(folder.glob(f"*{suffix}"))}


def read_class(path: Path, label: str, code: str) -> pd.DataFrame:
    """Rows of one class."""
    lines = lines_of(path)
    parts = lines["text"].str.extract(r"^(?P<name>.+?)\s+(?P<code>[012])$")
    bad = lines[parts["name"].isna()]
    if len(bad):
        raise AnnotationError(
            f"{path}: row {bad['row'].iloc[0]}: {bad['text'].iloc[0]!r} is not `video.avi 0|1|2`. Use the "
            "official list."
        )
    chosen = parts["code"] == code
    name = parts.loc[chosen, "name"]
    return rows(
        without_suffix(name), label + "/" + name, [label] * int(chosen.sum()), lines.loc[chosen, "row"]
    )


def classes_beside(annotations: Path) -> list[str] | None:
    """The names of the class files, in alphabetical order."""
    return list(class_files(annotations, 1)) or None
