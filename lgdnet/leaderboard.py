"""leaderboard.csv: the columns of the slides' table first, then what a reader needs to believe a row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lgdnet import metrics
from lgdnet.artefact import write_text
from lgdnet.errors import InputError

PROVENANCE_COLUMNS = ["row", "settings", "code"]
SLIDE_COLUMNS = ["Input", "Backbone", "Clip", "Aggregation", "Top1", "Top5"]  # percent with one decimal


@dataclass(frozen=True)
class Row:
    """How one score file is presented: the four descriptive columns of the slides' table."""

    name: str
    input: str
    backbone: str = "-"
    clip: str = "-"
    aggregation: str = "-"


@dataclass(frozen=True)
class Result:
    """A row with its numbers, as fractions. `cost`: parameters, gflops_per_clip, gpu_hours where known."""

    row: Row
    top1: float
    top5: float
    avg_error: float
    mean_class: float
    num_videos: int
    num_missing: int
    settings_digest: str = ""
    code_version: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)


def measure(
    row: Row,
    scores: np.ndarray,
    labels: np.ndarray,
    present: np.ndarray,
    *,
    num_rejected: int = 0,
    settings_digest: str = "",
    code_version: str = "",
    cost: Mapping[str, float] | None = None,
) -> Result:
    """The numbers of one row from (N, K) scores, (N,) labels and (N,) present.

    `num_rejected` videos of the split could not be read at all: they are in no manifest, and wrong like every
    missing video. Their classes are unknown here, so mean class accuracy leaves them out.
    """
    ranks = metrics.label_ranks(scores, labels, present)
    num_videos = len(labels) + num_rejected
    top1, top5 = (float((ranks < k).sum()) / max(num_videos, 1) for k in (1, 5))
    return Result(
        row=row,
        top1=top1,
        top5=top5,
        avg_error=1 - (top1 + top5) / 2,
        mean_class=metrics.mean_class_accuracy(scores, labels, present),
        num_videos=num_videos,
        num_missing=int((~present).sum()) + num_rejected,
        settings_digest=settings_digest,
        code_version=code_version,
        cost=cost or {},
    )


def table(results: Sequence[Result]) -> pd.DataFrame:
    """One line per result, in the given order; numbers already written as they are printed."""
    return pd.DataFrame([_line(result) for result in results])


def write_leaderboard(path: Path, results: Sequence[Result]) -> None:
    """CSV in the order of the rows given: the order of the slides' table, not of success."""
    write_text(path, table(results).to_csv(index=False, lineterminator="\n"))


def rows_from_json(text: str) -> list[Row]:
    """The `--rows` option: a JSON list of the fields of `Row`, `name` and `input` at least."""
    try:
        return [Row(**words) for words in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise InputError(f"--rows: not a JSON list of rows ({error}): {text!r}") from None


def printed(path: Path) -> str:
    """A leaderboard file as a table for the terminal: what identifies a row, and its figures."""
    try:
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such leaderboard. `snakemake leaderboard` makes it.") from None
    return lines[[name for name in lines.columns if name not in PROVENANCE_COLUMNS]].to_string(index=False)


def _line(result: Result) -> dict[str, str]:
    cost = result.cost
    return {
        "Input": result.row.input,
        "Backbone": result.row.backbone,
        "Clip": result.row.clip,
        "Aggregation": result.row.aggregation,
        "Top1": percent(result.top1),
        "Top5": percent(result.top5),
        "avg_error": percent(result.avg_error),
        "mean_class": percent(result.mean_class),
        "videos": str(result.num_videos),
        "missing": str(result.num_missing),
        "parameters": f"{cost['parameters']:.0f}" if "parameters" in cost else "",
        "gflops_per_clip": f"{cost['gflops_per_clip']:.3g}" if "gflops_per_clip" in cost else "",
        "gpu_hours": f"{cost['gpu_hours']:.3g}" if "gpu_hours" in cost else "",
        "row": result.row.name,
        "settings": result.settings_digest,
        "code": result.code_version,
    }


def percent(fraction: float) -> str:
    """`0.7059 -> 70.6`; empty where there is no number."""
    return "" if np.isnan(fraction) else f"{100 * fraction:.1f}"
