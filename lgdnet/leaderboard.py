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
from lgdnet.softmax import softmax

PROVENANCE_COLUMNS = ["row", "streams", "settings", "code"]
SLIDE_COLUMNS = ["Input", "Backbone", "Clip", "Aggregation", "Top1", "Top5"]  # percent with one decimal


@dataclass(frozen=True)
class Row:
    """How one score file is presented: the four descriptive columns of the slides' table."""

    name: str
    input: str
    backbone: str = "-"
    clip: str = "-"
    aggregation: str = "-"
    streams: tuple[str, ...] = ()  # networks behind it


@dataclass(frozen=True)
class Result:
    """A row with its numbers, as fractions, and its figures per class.

    `top1_interval` and `top5_interval` are 95 % intervals over videos (`accuracy_interval`). `calibration` is the expected
    calibration error. `cost`: parameters and gflops_per_clip where known.
    """

    row: Row
    top1: float
    top5: float
    avg_error: float
    mean_class: float
    num_videos: int
    num_missing: int
    top1_interval: tuple[float, float]
    top5_interval: tuple[float, float]
    calibration: float
    class_counts: np.ndarray  # (K,) videos
    class_top1: np.ndarray  # (K,)
    class_top5: np.ndarray  # (K,)
    confusion: np.ndarray  # (K, K) counts, rows true
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
    is_log: bool = False,
    settings_digest: str = "",
    code_version: str = "",
    cost: Mapping[str, float] | None = None,
) -> Result:
    """The numbers of one row from (N, K) scores, (N,) labels and (N,) present. `is_log`: they are logits.

    `num_rejected` videos of the split could not be read at all: they are in no manifest, and wrong like every
    missing video. Their classes are unknown here, so figures by class leave them out.
    """
    K = scores.shape[1]
    ranks = metrics.label_ranks(scores, labels, present)
    hits = np.column_stack([ranks < 1, ranks < 5])  # (N, 2)
    of_all = np.column_stack([metrics.with_misses(ranks, num_rejected) < k for k in (1, 5)])
    top1, top5 = of_all.mean(axis=0) if len(of_all) else (np.nan, np.nan)
    low, high = metrics.accuracy_interval(of_all, np.random.default_rng(0))
    probabilities = softmax(scores) if is_log else scores
    return Result(
        row=row,
        top1=float(top1),
        top5=float(top5),
        avg_error=float(1 - (top1 + top5) / 2),
        mean_class=metrics.mean_class_accuracy(scores, labels, present),
        num_videos=len(of_all),
        num_missing=int((~present).sum()) + num_rejected,
        top1_interval=(float(low[0]), float(high[0])),
        top5_interval=(float(low[1]), float(high[1])),
        calibration=metrics.expected_calibration_error(probabilities, labels, present),
        class_counts=np.bincount(labels, minlength=K),
        class_top1=metrics.per_class_accuracy(hits[:, 0], labels, K),
        class_top5=metrics.per_class_accuracy(hits[:, 1], labels, K),
        confusion=metrics.confusion(metrics.predictions(scores, present), labels, K),
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


def printed(path: Path, *, markdown: bool = False) -> str:
    """A leaderboard file as a table for the terminal, or as Markdown: what identifies a row, and its figures."""
    try:
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such leaderboard. `snakemake leaderboard` makes it.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder. Name the leaderboard.csv in it.") from None
    except ValueError as error:
        raise InputError(f"{path}: not a leaderboard ({error}). `snakemake leaderboard` makes one.") from None
    shown = lines[[name for name in lines.columns if name not in PROVENANCE_COLUMNS]]
    if (path.parent / "cost.csv").exists() and "streams" in lines:
        shown = shown.assign(gpu_hours=gpu_hours(path.parent / "cost.csv", lines["streams"].tolist()))
    if not markdown:
        return shown.to_string(index=False)
    cells = [list(shown.columns), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)


def gpu_hours(cost: Path, streams: Sequence[str]) -> list[str]:
    """GPU-hours of the networks behind each row; empty where one has none on record.

    Not a column of the file: the same challenge gives the same file, whatever it ran on.
    """
    spent = hours_of_networks(pd.read_csv(cost, dtype={"stream": str}, keep_default_na=False), "gpu_hours")
    names = [row.split() for row in streams]
    return [f"{spent[row].sum():.3g}" if row and set(row) <= set(spent.index) else "" for row in names]


def hours_of_networks(cost: pd.DataFrame, unit: str) -> "pd.Series[float]":
    """Hours of training and dumping each stream, from a table as cost.csv is; aggregations take minutes and are not in it."""
    return cost[cost["stage"].isin(["train", "dump"])].groupby("stream")[unit].sum()


def _line(result: Result) -> dict[str, str]:
    cost = result.cost
    return {
        "Input": result.row.input,
        "Backbone": result.row.backbone,
        "Clip": result.row.clip,
        "Aggregation": result.row.aggregation,
        "Top1": percent(result.top1),
        "Top5": percent(result.top5),
        "top1_interval": interval(result.top1_interval),
        "top5_interval": interval(result.top5_interval),
        "avg_error": percent(result.avg_error),
        "mean_class": percent(result.mean_class),
        "calibration_error": percent(result.calibration),
        "videos": str(result.num_videos),
        "missing": str(result.num_missing),
        "parameters": f"{cost['parameters']:.0f}" if "parameters" in cost else "",
        "gflops_per_clip": f"{cost['gflops_per_clip']:.3g}" if "gflops_per_clip" in cost else "",
        "row": result.row.name,
        "streams": " ".join(result.row.streams),
        "settings": result.settings_digest,
        "code": result.code_version,
    }


def percent(fraction: float) -> str:
    """`0.7059 -> 70.6`; empty where there is no number."""
    return "" if np.isnan(fraction) else f"{100 * fraction:.1f}"


def interval(bounds: tuple[float, float]) -> str:
    """`67.2-73.9`"""
    return f"{percent(bounds[0])}-{percent(bounds[1])}"


def write_per_class(path: Path, results: Sequence[Result], classes: Sequence[str]) -> None:
    """One line per row and class: videos, top-1, top-5 in percent."""
    lines = [
        {"row": r.row.name, "class": name, "videos": int(n), "Top1": percent(top1), "Top5": percent(top5)}
        for r in results
        for name, n, top1, top5 in zip(classes, r.class_counts, r.class_top1, r.class_top5, strict=True)
    ]
    columns = ["row", "class", "videos", "Top1", "Top5"]
    write_text(path, pd.DataFrame(lines, columns=columns).to_csv(index=False, lineterminator="\n"))


def write_confusions(
    path: Path, results: Sequence[Result], classes: Sequence[str], *, at_most: int = 100
) -> None:
    """The most frequent mistakes of each row: true class, predicted class, count, share of the true class."""
    lines = []
    for result in results:
        mistakes = result.confusion * (1 - np.eye(len(classes), dtype=int))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:at_most]
        for true, predicted in zip(*np.unravel_index(order, mistakes.shape), strict=True):
            if count := int(mistakes[true, predicted]):
                share = percent(count / int(result.class_counts[true]))
                lines.append([result.row.name, classes[true], classes[predicted], count, share])
    columns = ["row", "class", "predicted", "videos", "percent_of_class"]
    write_text(path, pd.DataFrame(lines, columns=columns).to_csv(index=False, lineterminator="\n"))
