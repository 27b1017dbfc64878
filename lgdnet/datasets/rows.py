"""What every annotation reader gives back, and the checks they share."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lgdnet.errors import InputError

# video_id: key of every later table. path: relative to the video root, "" where only the name is known.
# label: class name, "" where unlabelled. row: line of the annotation file, from 1, for messages.
COLUMNS = ("video_id", "path", "label", "row")

# What annotation files call the splits that we call train, validation and test.
SPLIT_NAMES = {
    "train": {"train", "training"},
    "validation": {"val", "validate", "validation", "valid"},
    "test": {"test", "testing"},
}


class AnnotationError(InputError):
    """An annotation file that is missing or says something impossible."""


@dataclass(frozen=True)
class Annotations:
    """What a reader is asked for: one split of one annotation file."""

    path: Path
    split: str
    video_root: Path
    classes: list[str] | None = None  # the class list, where one is known beforehand
    split_name: str | None = None  # what the file calls the split, where it uses a name of its own
    fold: int = 1  # of the official folds, where one file or folder holds all of them
    select: str | None = None  # a pattern of paths, `birds/*.mp4`; only plain CSV
    ignore_columns: tuple[str, ...] = ()  # only plain CSV
    suffixes: frozenset[str] | None = None  # of the files to find in folders; None: of videos


def check_file(path: Path) -> None:
    """The annotation file must be there."""
    if not path.is_file():
        raise AnnotationError(f"{path}: no such annotation file. Correct dataset.annotations in the config.")


def rows(
    video_id: "pd.Series | list[str]",
    path: "pd.Series | list[str]",
    label: "pd.Series | list[str]",
    row: "pd.Series | range",
) -> pd.DataFrame:
    """A table with `COLUMNS`."""
    return pd.DataFrame(
        {"video_id": list(video_id), "path": list(path), "label": list(label), "row": list(row)}
    ).astype({"video_id": "str", "path": "str", "label": "str", "row": "int64"})


def read_csv(path: Path) -> pd.DataFrame:
    """A comma separated file, every value as text, with its line numbers in column `row`."""
    check_file(path)
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False
        )
    except pd.errors.EmptyDataError:
        raise AnnotationError(
            f"{path}: the file is empty. Give it a header line and one row per video."
        ) from None
    except UnicodeDecodeError as error:
        raise wrong_encoding(path, error) from None
    except (ValueError, pd.errors.ParserError) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise AnnotationError(f"{path}: not a CSV file ({reason}). Quote values that hold commas.") from None
    table.columns = table.columns.str.strip()
    table["row"] = range(2, len(table) + 2)
    return table[(table.drop(columns="row") != "").any(axis=1)]


def wrong_encoding(path: Path, error: UnicodeDecodeError) -> AnnotationError:
    """What is said of a file in Latin-1 or another encoding of old."""
    return AnnotationError(
        f"{path}: not in the encoding UTF-8 (byte {error.object[error.start]:#04x}). Save it as UTF-8, for example: "
        f"iconv -f latin1 -t utf-8 {path.name}."
    )


def check_columns(
    path: Path, table: pd.DataFrame, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    """Every required column is there and none is unknown."""
    columns = [c for c in table.columns if c != "row"]
    known = ", ".join((*required, *(f"{name} (optional)" for name in optional)))
    for name in columns:
        if name not in (*required, *optional):
            raise AnnotationError(f"{path}: row 1: unknown column {name!r}. Known columns: {known}.")
    for name in required:
        if name not in columns:
            raise AnnotationError(f"{path}: row 1: column {name!r} is missing. Known columns: {known}.")


def only_split(annotations: Annotations, table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose column `split` names this split, where there is such a column."""
    if "split" not in table.columns:
        return table
    split = annotations.split
    known = {annotations.split_name.lower()} if annotations.split_name else SPLIT_NAMES.get(split, {split})
    names = table["split"].str.strip().str.lower()
    if not annotations.split_name:
        check_spelling(annotations.path, table, names, known)
    chosen = table[names.isin(known)]
    if chosen.empty:
        found = ", ".join(sorted(set(names))[:6])
        raise AnnotationError(
            f"{annotations.path}: no row is of split {split!r}; its column 'split' has: {found}. "
            "Say in dataset.splits what the file calls it, or correct dataset.annotations."
        )
    return chosen


def check_spelling(path: Path, table: pd.DataFrame, names: pd.Series, known: set[str]) -> None:
    """AnnotationError for a row whose split is nearly one of `known`: it would be left out of all splits."""
    ours = set().union(*SPLIT_NAMES.values())
    for name in sorted(set(names) - ours):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        if near:
            row = table.loc[names == name, "row"].iloc[0]
            raise AnnotationError(
                f"{path}: row {row}: split {name!r} is unknown; did you mean {near[0]!r}? Correct the row, or say "
                "in dataset.splits what the file calls its splits."
            )


def lines_of(path: Path) -> pd.DataFrame:
    """Lines that are not empty: columns text, row."""
    check_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise wrong_encoding(path, error) from None
    table = pd.DataFrame({"text": [line.strip() for line in lines], "row": range(1, len(lines) + 1)})
    table = table[table["text"] != ""]
    if table.empty:
        raise AnnotationError(f"{path}: the file is empty. It needs one line per video.")
    return table


def without_suffix(paths: pd.Series) -> pd.Series:
    """`a/b.c.mp4` -> `a/b.c`"""
    return paths.str.replace(r"\.[A-Za-z0-9]{1,5}$", "", regex=True)


def name_of(paths: pd.Series) -> pd.Series:
    """`a/b.avi` -> `b`"""
    return without_suffix(paths).str.replace(r"^.*/", "", regex=True)
