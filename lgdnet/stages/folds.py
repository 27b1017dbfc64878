"""Leaderboards of several folds in, one table of means and deviations out."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lgdnet.artefact import atomic
from lgdnet.errors import InputError

WORDS = ["Input", "Backbone", "Clip", "Aggregation"]  # what a row is, the same in every fold


def run(leaderboards: Sequence[Path], out: Path) -> None:
    """Write the mean of every number over the folds, and for Top1 and Top5 the deviation beside it."""
    tables = {path: read_leaderboard(path) for path in leaderboards}
    first = next(iter(tables.values()))
    for path, table in tables.items():
        if list(table.index) != list(first.index):
            raise InputError(
                f"{path}: rows {', '.join(table.index)}, but {leaderboards[0]} has {', '.join(first.index)}. "
                "Run all folds with the same challenge file."
            )
    with atomic(out) as tmp:
        over_folds(list(tables.values())).to_csv(tmp)


def read_leaderboard(path: Path) -> pd.DataFrame:
    """A leaderboard by the name of its rows."""
    if not path.is_file():
        raise InputError(f"{path}: no such leaderboard. Run snakemake for this fold first.")
    table = pd.read_csv(path, dtype=dict.fromkeys(WORDS, str))
    if "row" not in table.columns:
        raise InputError(
            f"{path}: no column 'row'; not a leaderboard of ours. Delete it and run snakemake again."
        )
    return table.set_index("row")


def over_folds(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean over the folds of every numeric column; `Top1 std` and `Top5 std` are sample deviations, in the same unit."""
    numbers = [table.select_dtypes("number") for table in tables]
    stacked = pd.concat(numbers, keys=range(len(tables)), names=["fold"])
    by_row = stacked.groupby(level="row", sort=False)
    table = tables[0][[c for c in WORDS if c in tables[0].columns]].join(by_row.mean().round(2))
    for name in ("Top5", "Top1"):
        if name in table.columns:
            table.insert(
                list(table.columns).index(name) + 1, f"{name} std", by_row[name].std(ddof=1).round(2)
            )
    return table.assign(folds=len(tables))
