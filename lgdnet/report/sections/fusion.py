"""What each stream brings to a fusion, and how much it counts in it."""

from typing import Any

import numpy as np

from lgdnet.report import plots
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Column, Figure, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.wording import NONE, counted, number_of, signed

WITHOUT = "without "
PLOTTED = 2  # the best fusions; the table has all


def brings(finished: Finished, judged: Judgement) -> Section:
    """Leave one out: what is lost without each stream."""
    about = ("brings", "What each stream brings")
    study = finished.table(
        "fusions.csv", ("fusion", "streams", "Top1", "brings", "brings_low", "brings_high")
    )
    if study is None:
        return Section(*about, absent="nothing is fused")
    left_out = study[study["streams"].str.startswith(WITHOUT)]
    if left_out.empty:
        return Section(*about, absent="no fusion has two streams, of which one could be left out")
    whole = study[study["streams"] == "all, cross-fitted"].set_index("fusion")["Top1"]
    rows = []
    points: dict[str, list[dict[str, Any]]] = {}
    for line in left_out.to_dict("records"):
        low, value, high = (number_of(line[name]) for name in ("brings_low", "brings", "brings_high"))
        stream = line["streams"].removeprefix(WITHOUT)
        shown = [signed(value, 2), f"{signed(low, 2)} to {signed(high, 2)}", line.get("p_value", "")]
        rows.append([line["fusion"], stream, whole.get(line["fusion"], NONE), line["Top1"], *shown])
        points.setdefault(line["fusion"], []).append(
            {"name": stream, "value": value, "low": low, "high": high}
        )
    columns = [
        Column("Fusion"),
        Column("Stream left out"),
        Column("Top-1 with it", "number"),
        Column("Top-1 without it", "number"),
        Column("Brings, points", "number"),
        Column("95 % interval", "number"),
        Column("p", "number", "of McNemar's exact test, on the videos that only one of the two has right"),
    ]
    ranked = sorted(points, key=lambda name: -number_of(whole.get(name, "")))
    chosen = list(dict.fromkeys([*(name for name in ranked if name == finished.best.short), *ranked]))
    figures = [brings_figure(i, name, points[name]) for i, name in enumerate(chosen[:PLOTTED])]
    explained = (
        "Each fusion is fitted again without one stream, on the same parts of the videos. The interval is a bootstrap of the "
        "paired difference; p is how often chance alone would make the two differ as much (McNemar's exact test). Where they "
        "differ on few videos the interval is too narrow, and may leave out 0 while p is large: p decides. Streams that see "
        "the same thing can each be spared alone."
    )
    return Section(
        *about, explained, [*figures, Table("brings-table", "Leave one out", columns, rows, narrow=True)]
    )


def brings_figure(place: int, fusion: str, points: list[dict[str, Any]]) -> Figure:
    """What each stream brings to one fusion, most first."""
    points = sorted(points, key=lambda point: -float(point["value"]))
    return Figure(
        f"brings-plot-{place}",
        f"What each stream brings to {fusion}",
        f"Most is lost without {points[0]['name']}: {signed(float(points[0]['value']))} points.",
        plots.intervals(points, title="points lost without it", from_zero=True),
    )


def weights(finished: Finished, judged: Judgement) -> Section:
    """The weights that were found on all videos, and how far they differ from fold to fold."""
    about = ("weights", "Fusion weights")
    tables = [
        (name, finished.table(f"fusions/{name}/weights.csv", ("fold", "fusion", "member", "share")))
        for name in finished.challenge.fusions
    ]
    rows: list[list[str]] = []
    points: list[dict[str, Any]] = []
    for name, table in tables:
        if table is None:
            continue
        for member, part in table[table["fusion"] == name].groupby("member", sort=False):
            share = part.set_index("fold")["share"].astype(float) * 100
            folds = share.drop("all", errors="ignore").to_numpy()
            low, high = (folds.min(), folds.max()) if len(folds) else (np.nan, np.nan)
            value = float(share.get("all", np.nan))
            about_it = part.iloc[0]
            temperature = number_of(about_it.get("temperature", ""))
            spread = f"{low:.1f}–{high:.1f}" if len(folds) else NONE
            rows.append(
                [name, str(member), f"{value:.1f}", spread, about_it.get("method", ""), f"{temperature:.2f}"]
            )
            if len(folds):
                points.append({"name": str(member), "value": value, "low": low, "high": high, "fusion": name})
            else:
                points.append(
                    {"name": str(member), "value": value, "low": value, "high": value, "fusion": name}
                )
    if not rows:
        return Section(*about, absent="nothing is fused")
    names = [point["fusion"] for point in points]
    chosen = finished.best.short if finished.best.short in names else names[-1]
    shown = [point for point in points if point["fusion"] == chosen]
    heaviest = max(shown, key=lambda point: point["value"])
    columns = [
        Column("Fusion"),
        Column("Member"),
        Column("Share %", "number", "of all weights of its fusion"),
        Column("Over the folds", "number", "lowest and highest share found on a part of the videos"),
        Column("Found by"),
        Column(
            "Temperature", "number", "the logits were divided by it first; 1 where they are not calibrated"
        ),
    ]
    figure = Figure(
        "weights-plot",
        f"Shares in {chosen}",
        f"{heaviest['name']} counts most, {heaviest['value']:.0f} % of {counted(len(shown), 'member')}.",
        plots.intervals(shown, title="share of the weights, %", from_zero=True),
    )
    explained = (
        "The point is the weight found on all labelled videos, which goes to other splits; the line spans what was found "
        "without each part in turn, from which the score of that part comes."
    )
    return Section(*about, explained, [figure, Table("weights-table", "Weights", columns, rows)])
