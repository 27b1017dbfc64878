"""weights.csv: what each member of a fusion counts, once from all videos and once per fold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lgdnet.artefact import write_text
from lgdnet.fusion import Fitted, Fusion
from lgdnet.scores.errors import ScoresError

COLUMNS = ["fold", "fusion", "member", "weight", "share", "temperature"]
ALL = "all"  # the weights that go to other splits; folds are numbered from 0


def write_weights(path: Path, whole: Fitted, folds: Sequence[Fitted] = ()) -> None:
    """One line per fold, fusion (the named one and those inside it) and member. Weights at full precision."""
    lines = _lines(ALL, whole)
    for fold, fitted in enumerate(folds):
        lines += _lines(str(fold), fitted)
    write_text(path, pd.DataFrame(lines, columns=COLUMNS).to_csv(index=False, lineterminator="\n"))


def read_weights(path: Path, fusion: Fusion) -> Fitted:
    """The weights from all videos, for the fusion they were found for; a `ScoresError` where it has changed."""
    try:
        table = pd.read_csv(path, dtype={"fold": str, "fusion": str, "member": str})
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such weights. Fuse a labelled split first.") from None
    if list(table.columns) != COLUMNS:
        raise ScoresError(f"{path}: columns {', '.join(table.columns)} instead of {', '.join(COLUMNS)}.")
    return _read(path, table[table["fold"] == ALL], fusion)


def _read(path: Path, table: pd.DataFrame, fusion: Fusion) -> Fitted:
    own = table[table["fusion"] == fusion.name]
    found = own["member"].tolist()
    if found != fusion.member_names:
        raise ScoresError(
            f"{path}: weights of {fusion.name} are for {', '.join(found) or 'nothing'}, not for "
            f"{', '.join(fusion.member_names)}. Delete it and fuse the labelled split again."
        )
    members = tuple(m if isinstance(m, str) else _read(path, table, m) for m in fusion.members)
    return Fitted(fusion, own["weight"].to_numpy(float), own["temperature"].to_numpy(float), members)


def _lines(fold: str, fitted: Fitted) -> list[list[object]]:
    total = np.abs(fitted.weights).sum()
    lines: list[list[object]] = [
        [
            fold,
            fitted.fusion.name,
            name,
            repr(float(weight)),
            f"{weight / total:.4f}",
            repr(float(temperature)),
        ]
        for name, weight, temperature in zip(
            fitted.fusion.member_names, fitted.weights, fitted.temperatures, strict=True
        )
    ]
    for member in fitted.members:
        if isinstance(member, Fitted):
            lines += _lines(fold, member)
    return lines
