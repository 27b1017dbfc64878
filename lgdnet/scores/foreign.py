"""Score files of other tools: npz, npy, pkl and csv become ids, values and, where they tell, classes."""

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
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _from_mapping(
                path, {name: arrays[name] for name in arrays.files}, scores_key, ids_key, classes_key
            )
    except ValueError as error:
        if isinstance(error, ScoresError):
            raise
        raise ScoresError(f"{path}: cannot be read without unpickling ({error}).") from None


def _read_npy(path: Path, *_: str | None) -> Foreign:
    try:
        return Foreign(_matrix(path, np.load(path, allow_pickle=False)))
    except ValueError as error:
        if isinstance(error, ScoresError):
            raise
        raise ScoresError(f"{path}: cannot be read without unpickling ({error}).") from None


def _read_pickle(path: Path, scores_key: str | None, ids_key: str | None, classes_key: str | None) -> Foreign:
    """A list or array of rows, a dict of arrays (with `scores_key`), or a dict from id to row."""
    data = read_plain_pickle(path)
    if isinstance(data, dict) and scores_key is not None:
        return _from_mapping(path, data, scores_key, ids_key, classes_key)
    if isinstance(data, dict):
        return Foreign(_matrix(path, list(data.values())), np.array([str(key) for key in data], dtype=str))
    return Foreign(_matrix(path, data))


def _read_csv(path: Path, *_: str | None) -> Foreign:
    """First column ids, one column per class."""
    table = pd.read_csv(path, dtype={0: str}, keep_default_na=False)
    first = table.columns[0]
    values = table.drop(columns=first).apply(pd.to_numeric, errors="coerce")
    return Foreign(
        _matrix(path, values.to_numpy()), table[first].to_numpy(dtype=str), list(table.columns[1:])
    )


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
        None if ids is None else np.asarray(ids).astype(str),
        None if classes is None else np.asarray(classes).astype(str).tolist(),
    )


def _matrix(path: Path, rows: Any) -> np.ndarray:
    """(N, K) float32; rows of several clips or crops (N, V, K) are not ours to average."""
    try:
        values = np.asarray(rows, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ScoresError(f"{path}: its rows are not numbers of one length ({error}).") from None
    if values.ndim != 2:
        raise ScoresError(
            f"{path}: scores of shape {values.shape}; one row of class scores per video is needed."
        )
    return values
