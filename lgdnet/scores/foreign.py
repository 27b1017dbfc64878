"""Score files of other tools: npz, npy, pkl and csv become ids, values and, where they tell, classes."""

import csv
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lgdnet.scores.errors import ScoresError
from lgdnet.scores.plain_pickle import read_plain_pickle


@dataclass(frozen=True)
class Foreign:
    """(N, K) values as they stand in the file; ids (N,) and K class names where the file has them."""

    values: np.ndarray
    video_ids: np.ndarray | None = None
    classes: list[str] | None = None


def read_foreign(
    path: Path, *, scores_key: str | None = None, ids_key: str | None = None, classes_key: str | None = None
) -> Foreign:
    """Read by the file's ending. Keys name the arrays of an npz, or of a dict in a pickle."""
    path = Path(path)
    readers: dict[str, Callable[..., Foreign]] = {
        ".npz": _read_npz,
        ".npy": _read_npy,
        ".pkl": _read_pickle,
        ".pickle": _read_pickle,
        ".csv": _read_csv,
    }
    if path.suffix not in readers:
        raise ScoresError(f"{path}: unknown ending {path.suffix!r}; known are {', '.join(readers)}.")
    if not path.exists():
        raise ScoresError(f"{path}: no such file.")
    return readers[path.suffix](path, scores_key, ids_key, classes_key)


def _read_npz(path: Path, scores_key: str | None, ids_key: str | None, classes_key: str | None) -> Foreign:
    arrays = _load(path)
    if isinstance(arrays, np.ndarray):
        arrays = {"scores": arrays}
    return _from_mapping(path, arrays, scores_key, ids_key, classes_key)


def _read_npy(path: Path, *_: str | None) -> Foreign:
    values = _load(path)
    if not isinstance(values, np.ndarray):
        raise ScoresError(f"{path}: several arrays; rename it to .npz.")
    return Foreign(_matrix(path, values))


def _load(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """One array, or all arrays of an archive by name."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except ValueError as error:
        raise ScoresError(f"{path}: cannot be read without unpickling ({error}).") from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ScoresError(
            f"{path}: damaged, or not what its name says ({type(error).__name__}: {error}). Fetch it again."
        ) from None


def _read_pickle(path: Path, scores_key: str | None, ids_key: str | None, classes_key: str | None) -> Foreign:
    """A list or array of rows, a dict of arrays (with `scores_key`), or a dict from id to row."""
    data = read_plain_pickle(path)
    if isinstance(data, dict) and scores_key is not None:
        return _from_mapping(path, data, scores_key, ids_key, classes_key)
    if isinstance(data, dict):
        return Foreign(_matrix(path, list(data.values())), np.array([str(key) for key in data], dtype=str))
    return Foreign(_matrix(path, data))


def _read_csv(path: Path, *_: str | None) -> Foreign:
    """First column ids, one column per class; the first line names them."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header, first = next(lines, []), next(lines, [])
        _check_csv(path, header, first)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, header=None, skiprows=1)
    except (ValueError, csv.Error) as error:
        if isinstance(error, ScoresError):
            raise
        raise ScoresError(f"{path}: not a table of scores ({error}).") from None
    values = table.iloc[:, 1:].apply(pd.to_numeric, errors="coerce")
    return Foreign(_matrix(path, values.to_numpy()), table[0].to_numpy(dtype=str), header[1:])


def _check_csv(path: Path, header: list[str], first: list[str]) -> None:
    if len(header) < 2:
        raise ScoresError(
            f"{path}: {len(header)} columns in its first line; ids, then one column per class are needed, separated "
            f"by commas."
        )
    if not first:
        raise ScoresError(f"{path}: no rows under its first line.")
    if len(first) != len(header):
        raise ScoresError(
            f"{path}: {len(header)} names in its first line for {len(first)} columns. The first line names the "
            f"column of ids, then every class."
        )
    if all(_is_number(name) for name in header[1:]) and not _is_count(header[1:]):
        raise ScoresError(
            f"{path}: its first line holds scores, not names. Put a line before it: video_id, then every class."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_count(names: list[str]) -> bool:
    """Columns may be called 0, 1, 2, ..."""
    return names == [str(k) for k in range(len(names))] or names == [str(k + 1) for k in range(len(names))]


def _from_mapping(
    path: Path, arrays: dict[str, Any], scores_key: str | None, ids_key: str | None, classes_key: str | None
) -> Foreign:
    def pick(key: str | None, option: str) -> Any:
        if key is not None and key not in arrays:
            raise ScoresError(f"{path}: no array {key!r} (--{option}); it has {', '.join(map(str, arrays))}.")
        return None if key is None else arrays[key]

    if scores_key is None:
        scores_key = "scores" if "scores" in arrays or len(arrays) != 1 else next(iter(arrays))
    ids, classes = pick(ids_key, "ids-key"), pick(classes_key, "classes-key")
    return Foreign(
        _matrix(path, pick(scores_key, "scores-key")),
        None if ids is None else _names(path, ids, "ids"),
        None if classes is None else _names(path, classes, "classes").tolist(),
    )


def _names(path: Path, names: Any, what: str) -> np.ndarray:
    """(N,) str; a single row or column of a matrix will do."""
    found = np.asarray(names)
    if found.ndim == 2 and 1 in found.shape:
        found = found.ravel()
    if found.ndim != 1:
        raise ScoresError(f"{path}: {what} of shape {found.shape}; a list of names is needed.")
    try:
        return np.char.decode(found, "utf-8") if found.dtype.kind == "S" else found.astype(str)
    except UnicodeDecodeError as error:
        raise ScoresError(f"{path}: {what} are not UTF-8 ({error}). Store them as text.") from None


def _matrix(path: Path, rows: Any) -> np.ndarray:
    """(N, K) float32; rows of several clips or crops (N, V, K) are not ours to average."""
    try:
        found = np.asarray(rows)
        if found.dtype.kind == "c":
            raise ValueError("they are complex")
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, which is an error
            values = found.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise ScoresError(f"{path}: its rows are not numbers of one length ({error}).") from None
    if values.ndim != 2:
        raise ScoresError(
            f"{path}: scores of shape {values.shape}; one row of class scores per video is needed."
        )
    return values
