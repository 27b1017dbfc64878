"""HMDB51's official splits: a folder of `<class>_test_split<fold>.txt` with lines `video.avi 0|1|2`.

1 is training, 2 is test, 0 is not used. In the config the annotation of a split is `<folder>/split<fold>`,
e.g. `testTrainMulti_7030_splits/split1`: one path that holds the fold.
"""

import re
from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError, lines_of, rows, without_suffix

CODE = {"train": "1", "validation": "2", "test": "2"}


def read(annotations: Path, split: str, video_root: Path, classes: list[str] | None) -> pd.DataFrame:
    """Rows of one split of one fold; the id is the file's name."""
    if split not in CODE:
        raise AnnotationError(f"{annotations}: HMDB51 has no split {split!r}. Known: {', '.join(CODE)}.")
    parts = [read_class(path, label, CODE[split]) for label, path in class_files(annotations).items()]
    return pd.concat(parts, ignore_index=True)


def class_files(annotations: Path) -> dict[str, Path]:
    """The file of every class for the fold that `<folder>/split<fold>` names."""
    fold = re.fullmatch(r"split(\d+)", annotations.name)
    if fold is None:
        raise AnnotationError(
            f"{annotations}: must end in split1, split2 or split3. Correct dataset.annotations."
        )
    suffix = f"_test_split{fold[1]}.txt"
    files = {path.name.removesuffix(suffix): path for path in sorted(annotations.parent.glob(f"*{suffix}"))}
    if not files:
        raise AnnotationError(
            f"{annotations.parent}: no such annotation file as <class>{suffix}. Unpack "
            "test_train_splits.rar there."
        )
    return files


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
    return list(class_files(annotations))
