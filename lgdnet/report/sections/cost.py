"""What it took, and what accuracy an hour buys."""

from typing import Any

import pandas as pd

from lgdnet.leaderboard import hours_of_networks
from lgdnet.report import plots
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Block, Column, Figure, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.shades import shades, shades_of_inputs
from lgdnet.report.wording import NONE, counted, hours

NUMBERS = ("jobs", "wall_hours", "cpu_hours", "memory_mb", "gpu_hours")
SHARED, GREY = "all streams", "#8a8f98"  # what belongs to no stream
KEYS = ("stage", "stream", *NUMBERS)


def cost(finished: Finished, judged: Judgement) -> Section:
    """Hours of every stage and stream, and accuracy over the hours of the networks behind each row."""
    about = ("cost", "Cost")
    table = finished.table("cost.csv", KEYS)
    if table is None or table.empty:
        return Section(*about, absent="no job's time is on record in cost.csv")
    table = table.assign(**{name: table[name].astype(float) for name in NUMBERS})
    with_gpu = bool((table["gpu_hours"] > 0).any())
    unit, words = ("gpu_hours", "GPU-hours") if with_gpu else ("cpu_hours", "processor hours")
    columns = [
        Column("Stage"),
        Column("Stream"),
        Column("Jobs", "number"),
        Column("Time, added up", "number", "hours of wall time of all jobs"),
        Column("Processor time", "number"),
        Column("Most memory, MB", "number"),
        *([Column("GPU-hours", "number")] if with_gpu else []),
    ]
    rows = [
        [
            str(line["stage"]),
            str(line["stream"]) or NONE,
            f"{line['jobs']:.0f}",
            f"{line['wall_hours']:.3f}",
            f"{line['cpu_hours']:.3f}",
            f"{line['memory_mb']:.0f}",
            *([f"{line['gpu_hours']:.3f}"] if with_gpu else []),
        ]
        for line in table.to_dict("records")
    ]
    total = float(table[unit].sum())
    blocks: list[Block] = [stage_figure(finished, table, unit, words)]
    blocks += accuracy_for_hours(finished, table, unit, words)
    blocks.append(Table("cost-table", "Every stage and stream, in hours", columns, rows))
    explained = f"{hours(total)} of {'GPU' if with_gpu else 'processor'} time in all jobs. "
    if not with_gpu:
        explained += "No job asked for a GPU, so processor hours stand where GPU-hours would."
    return Section(*about, explained, blocks)


def stage_figure(finished: Finished, table: pd.DataFrame, unit: str, words: str) -> Figure:
    """Hours per stage, stacked by stream."""
    sums = table.groupby("stage")[unit].sum().sort_values(ascending=False)
    points = [
        {
            "name": line["stage"],
            "value": round(float(line[unit]), 4),
            "stream": line["stream"] or SHARED,
        }
        for stage in sums.index
        for line in table[(table["stage"] == stage) & (table[unit] > 0)].to_dict("records")
    ]
    owners = [str(point["stream"]) for point in points]
    chosen = {**shades(finished, owners), SHARED: GREY}
    return Figure(
        "cost-plot",
        f"{words[0].upper()}{words[1:]} of every stage",
        f"{sums.index[0]} takes most, {hours(float(sums.iloc[0]))} of {hours(float(sums.sum()))}.",
        plots.bars(points, title=words, colour="stream", shades=chosen),
    )


def accuracy_for_hours(finished: Finished, table: pd.DataFrame, unit: str, words: str) -> list[Block]:
    """Each row of the leaderboard over what its networks took; nothing where no row's networks are on record."""
    spent = hours_of_networks(table, unit)
    points: list[dict[str, Any]] = []
    for row in finished.rows:
        if row.streams and set(row.streams) <= set(spent.index):
            value = float(spent[list(row.streams)].sum())
            if value > 0:
                points.append({"name": row.short, "x": round(value, 4), "y": row.top1, "colour": row.input})
    if not points:
        return []
    columns = [
        Column("Row"),
        Column("Top-1 %", "number"),
        Column(
            f"{words[0].upper()}{words[1:]}", "number", "of training and dumping every network behind the row"
        ),
        Column("Points of top-1 for an hour", "number"),
    ]
    rows = [[p["name"], f"{p['y']:.1f}", f"{p['x']:.3f}", f"{p['y'] / p['x']:.1f}"] for p in points]
    best = max(points, key=lambda point: point["y"] / point["x"])
    wide = max(p["x"] for p in points) > 8 * min(p["x"] for p in points)
    figure = Figure(
        "price-plot",
        f"Accuracy over {words} of the networks behind a row",
        f"{counted(len(points), 'row')}. {best['name']} has most accuracy for an hour: {best['y']:.1f} % in {hours(best['x'])}.",
        plots.scatter(
            points, x=words, y="top-1 %", log_x=wide, shades=shades_of_inputs(finished, finished.rows)
        ),
    )
    return [figure, Table("price-table", f"Accuracy for {words}", columns, rows)]
