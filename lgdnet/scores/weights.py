"""weights.csv: what each member of a fusion counts, once from all videos and once per fold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lgdnet.artefact import write_text
from lgdnet.fusion import Fitted, Fusion
from lgdnet.scores.errors import ScoresError

COLUMNS = ["fold", "fusion", "method", "of", "calibrate", "member", "weight", "share", "temperature"]
ALL = "all"  # the weights that go to other splits; folds are numbered from 0


def write_weights(path: Path, whole: Fitted, folds: Sequence[Fitted] = ()) -> None:
    """One line per fold, fusion (the named one and those inside it) and member. Weights at full precision."""
    lines = []
    for fold, fitted in [(ALL, whole), *((str(i), fold) for i, fold in enumerate(folds))]:
        inside: dict[str, Fitted] = {}  # a fusion that several others use is fitted alike for each
        _collect(fitted, inside)
        lines += [line for one in inside.values() for line in _lines(fold, one)]
    write_text(path, pd.DataFrame(lines, columns=COLUMNS).to_csv(index=False, lineterminator="\n"))


def read_weights(path: Path, fusion: Fusion) -> Fitted:
    """The weights from all videos, for the fusion they were found for; a `ScoresError` where it has changed."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such weights. Fuse a labelled split first.") from None
    except ValueError as error:
        raise ScoresError(f"{path}: not a table of weights ({error}). {CURE}") from None
    if list(table.columns) != COLUMNS:
        raise ScoresError(
            f"{path}: columns {', '.join(table.columns)} instead of {', '.join(COLUMNS)}. {CURE}"
        )
    return _read(path, table[table["fold"] == ALL], fusion)


CURE = "Delete it and fuse the labelled split again."


def _read(path: Path, table: pd.DataFrame, fusion: Fusion) -> Fitted:
    own = table[table["fusion"] == fusion.name]
    found = own["member"].tolist()
    if found != fusion.member_names:
        raise ScoresError(
            f"{path}: weights of {fusion.name} are for {', '.join(found) or 'nothing'}, not for "
            f"{', '.join(fusion.member_names)}. {CURE}"
        )
    for column, value in _how(fusion).items():
        if set(own[column]) != {value}:
            raise ScoresError(
                f"{path}: weights of {fusion.name} were found with {column} {own[column].iloc[0]!r}, not {value!r}. "
                f"{CURE}"
            )
    weights, temperatures = _numbers(path, own, "weight"), _numbers(path, own, "temperature")
    if not (weights >= 0).all() or not weights.any() or not (temperatures > 0).all():
        raise ScoresError(
            f"{path}: weights of {fusion.name} must be >= 0 and not all 0, temperatures above 0. {CURE}"
        )
    members = tuple(m if isinstance(m, str) else _read(path, table, m) for m in fusion.members)
    return Fitted(fusion, weights, temperatures, members)


def _numbers(path: Path, own: pd.DataFrame, column: str) -> np.ndarray:
    values = pd.to_numeric(own[column], errors="coerce").to_numpy(float)
    if not np.isfinite(values).all():
        wrong = own[column].iloc[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise ScoresError(f"{path}: {column} {wrong!r} is no finite number. {CURE}")
    return values


def _how(fusion: Fusion) -> dict[str, str]:
    """What weights depend on, besides the members."""
    return {"method": fusion.method, "of": fusion.of, "calibrate": str(fusion.calibrate).lower()}


def _collect(fitted: Fitted, found: dict[str, Fitted]) -> None:
    """A fusion and those inside it, each once."""
    found.setdefault(fitted.fusion.name, fitted)
    for member in fitted.members:
        if isinstance(member, Fitted):
            _collect(member, found)


def _lines(fold: str, fitted: Fitted) -> list[list[object]]:
    total = fitted.weights.sum()
    how = _how(fitted.fusion).values()
    return [
        [fold, fitted.fusion.name, *how, name, repr(float(w)), f"{w / total:.4f}", repr(float(t))]
        for name, w, t in zip(fitted.fusion.member_names, fitted.weights, fitted.temperatures, strict=True)
    ]
