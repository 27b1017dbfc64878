"""What a finished challenge left behind: its tables, its score files and its videos, found below its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from lgdnet.errors import InputError
from lgdnet.leaderboard import SLIDE_COLUMNS
from lgdnet.scores.labels import Labels, read_labels, read_table, rejected_ids
from lgdnet.settings import Challenge

PUBLISHED = "published.csv"  # copy of the table that `report: published:` names, beside the page
LEADERBOARD_COLUMNS = (*SLIDE_COLUMNS, "top1_interval", "top5_interval", "row", "streams")


@dataclass(frozen=True)
class Row:
    """One line of leaderboard.csv or streams.csv; accuracies in per cent."""

    name: str  # folder of its scores below the results
    input: str
    backbone: str
    clip: str
    aggregation: str
    streams: tuple[str, ...]
    cells: dict[str, str]

    @property
    def short(self) -> str:
        """`streams/frame16/tcp` as challenge files name it: `frame16/tcp`."""
        return self.name.split("/", 1)[-1]

    @property
    def top1(self) -> float:
        return float(self.cells["Top1"] or "nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Of top-1."""
        low, high = self.cells["top1_interval"].split("-")
        return float(low), float(high)


@dataclass(frozen=True)
class Finished:
    """A challenge whose leaderboard is made."""

    results: Path
    challenge: Challenge
    rows: list[Row]  # of the leaderboard, in its order
    stream_rows: list[Row]  # of every stream and aggregation, joint network and outside file
    labels: Labels  # of the evaluated split
    num_rejected: int

    @property
    def split(self) -> str:
        return self.challenge.evaluate.split

    @cached_property
    def all_rows(self) -> list[Row]:
        """Rows of the leaderboard, then those that only streams.csv has."""
        return list({row.name: row for row in [*self.stream_rows, *self.rows]}.values())

    @cached_property
    def best(self) -> Row:
        """Highest top-1 of the leaderboard, then top-5; of equals the last, which is fused from more."""
        return max(reversed(self.rows), key=lambda row: (row.top1, float(row.cells["Top5"] or "nan")))

    def modalities(self, row: Row) -> set[str]:
        """What the networks behind a row see; empty for scores from outside."""
        return {self.challenge.streams[name].modality for name in row.streams}

    def scores_file(self, row: Row) -> Path:
        return self.results / row.name / f"{self.split}.h5"

    @property
    def published_file(self) -> Path | None:
        """The table that the challenge file names, else its copy in the results; None where neither is there."""
        named = self.challenge.report.published
        files = (named, self.results / PUBLISHED) if named is not None else ()
        return next((path for path in files if path.is_file()), None)

    def feature_files(self, stream: str) -> list[Path]:
        return sorted((self.results / "streams" / stream / "features" / self.split).glob("*.h5"))

    @cached_property
    def voices(self) -> dict[str, Row]:
        """The best row of each stream by itself, and each outside file: who has an opinion on a video."""
        found: dict[str, Row] = {}
        for row in self.stream_rows:
            name = row.streams[0] if len(row.streams) == 1 else row.short
            if len(row.streams) <= 1 and (name not in found or row.top1 > found[name].top1):
                found[name] = row
        return found

    @cached_property
    def best_of_each_kind(self) -> list[Row]:
        """The best row, and the best that sees only frames, only flow, only sound: at most four."""
        found = {self.best.name: self.best}
        for modality in ("frame", "flow", "audio"):
            alone = [row for row in self.all_rows if self.modalities(row) == {modality}]
            if alone:
                best = max(alone, key=lambda row: row.top1)
                found.setdefault(best.name, best)
        return list(found.values())

    def table(self, name: str, columns: Sequence[str] = ()) -> pd.DataFrame | None:
        """A CSV file of the results, every cell as text; None where the challenge has none."""
        path = self.results / name
        return read_table(path, columns, what="table of results") if path.exists() else None


def read_finished(results: Path, challenge: Challenge) -> Finished:
    """Everything small. Errors: InputError where the leaderboard or the manifest is not there or has other columns."""
    if not (results / "leaderboard.csv").exists():
        raise InputError(
            f"{results / 'leaderboard.csv'}: no such leaderboard. `snakemake leaderboard` makes it."
        )
    rows = read_rows(results / "leaderboard.csv", challenge)
    streams = results / "streams.csv"
    labels = read_labels(results / "manifest" / f"{challenge.evaluate.split}.csv")
    rejected = results / "manifest/rejected.csv"
    num_rejected = len(rejected_ids(rejected, labels, challenge.evaluate.split)) if rejected.exists() else 0
    return Finished(
        results,
        challenge,
        rows,
        read_rows(streams, challenge) if streams.exists() else [],
        labels,
        num_rejected,
    )


def read_rows(path: Path, challenge: Challenge) -> list[Row]:
    """The lines of a leaderboard. Errors: InputError where one is of a stream that the challenge has not."""
    rows = []
    table = read_table(path, LEADERBOARD_COLUMNS, what="leaderboard")
    for line in table.to_dict("records"):
        cells = {str(name): str(text) for name, text in line.items()}
        row = Row(
            name=cells["row"],
            input=cells["Input"],
            backbone=cells["Backbone"],
            clip=cells["Clip"],
            aggregation=cells["Aggregation"],
            streams=tuple(cells["streams"].split()),
            cells=cells,
        )
        unknown = [name for name in row.streams if name not in challenge.streams]
        if unknown:
            raise InputError(
                f"{path}: stream {unknown[0]!r} is not in the challenge file. Is it the one that these results are of? "
                "`snakemake leaderboard` makes the table anew."
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: no rows. `snakemake leaderboard` makes it anew.")
    return rows
