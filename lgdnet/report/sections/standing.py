"""How good it is: the leaderboard, and a published table beside ours."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lgdnet.errors import InputError
from lgdnet.leaderboard import SLIDE_COLUMNS, gpu_hours
from lgdnet.report import plots
from lgdnet.report.challenge import Finished, Row
from lgdnet.report.content import Block, Column, Facts, Figure, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.shades import shades_of_inputs
from lgdnet.report.wording import NONE, counted, listed, number_of, signed
from lgdnet.scores.labels import read_table
from lgdnet.settings import submitted_row

IDENTITY = ("Input", "Backbone", "Clip", "Aggregation")


def overview(finished: Finished, judged: Judgement) -> Section:
    """The whole challenge in a few lines."""
    best = finished.best
    classes = len(judged.classes)
    missing = int(best.cells.get("missing") or 0)
    facts = [
        ("Best row", f"{best.short}: {words(best)}"),
        ("Top-1", f"{best.cells['Top1']} % (95 % interval {interval(best.cells['top1_interval'])})"),
        ("Top-5", f"{best.cells['Top5']} % (95 % interval {interval(best.cells['top5_interval'])})"),
        ("Submitted row", submitted(finished)),
        (
            "Judged on",
            f"{counted(len(finished.labels) + finished.num_rejected, 'video')} of the {finished.split} split, "
            f"{counted(classes, 'class', 'classes')}; always guessing the most frequent class would reach "
            f"{100 * judged.class_counts.max() / max(judged.class_counts.sum(), 1):.1f} %",
        ),
        ("Streams", listed([f"{name} ({s.modality})" for name, s in finished.challenge.streams.items()], 12)),
    ]
    if missing:
        facts.append(("Without a score", f"{counted(missing, 'video')}; each counts as wrong"))
    return Section("overview", "Overview", blocks=[Facts(facts)])


def submitted(finished: Finished) -> str:
    """Which row is handed in, why, and how good it is where it is judged."""
    name = submitted_row(finished.challenge).name
    row = next((row for row in finished.all_rows if row.name == name), None)
    last = "the last fusion" if finished.challenge.fusions else "the last row"
    why = "named by" if finished.challenge.evaluate.submit else f"{last}, as none is named by"
    top1 = f", top-1 {row.cells['Top1']} %" if row else ""
    return f"{name.split('/', 1)[1]}{top1} ({why} evaluate: submit:); lgdnet predict uses it too, unless told otherwise"


def leaderboard(finished: Finished, judged: Judgement) -> Section:
    """Every row with its intervals."""
    optional = [
        name for name in ("parameters", "gflops_per_clip") if any(r.cells.get(name) for r in finished.rows)
    ]
    cost = finished.results / "cost.csv"
    spent = gpu_hours(cost, [" ".join(row.streams) for row in finished.rows]) if cost.exists() else []
    with_hours = any(number_of(text) > 0 for text in spent)
    columns = [
        Column("Row"),
        Column("Top-1 %", "number"),
        Column("95 % interval", "number"),
        Column("Top-5 %", "number"),
        Column("95 % interval of top-5", "number"),
        *(Column(name) for name in IDENTITY),
        Column("Mean class %", "number", "top-1 averaged over the classes"),
        Column(
            "Calibration error",
            "number",
            "mean gap between how sure the scores are and how often they are right",
        ),
        Column("Missing", "number", "videos without a score; they count as wrong"),
        *(Column(HEADINGS[name], "number") for name in optional),
        *([Column("GPU-hours", "number")] if with_hours else []),
    ]
    rows = []
    for i, row in enumerate(finished.rows):
        cells = row.cells
        line = [
            row.short,
            cells["Top1"],
            interval(cells["top1_interval"]),
            cells["Top5"],
            interval(cells["top5_interval"]),
            *(cells[name] for name in IDENTITY),
            cells.get("mean_class", ""),
        ]
        line += [cells.get("calibration_error", ""), cells.get("missing", "")]
        line += [READABLE[name](cells.get(name, "")) for name in optional] + (
            [spent[i]] if with_hours else []
        )
        rows.append([text or NONE for text in line])
    points = [
        {
            "name": row.short,
            "value": row.top1,
            "low": row.interval[0],
            "high": row.interval[1],
            "input": row.input,
        }
        for row in finished.rows
    ]
    best = finished.best
    figure = Figure(
        "leaderboard-plot",
        "Top-1 of every row with its 95 % interval",
        f"{len(points)} rows from {min(r.top1 for r in finished.rows):.1f} % to {best.top1:.1f} %, which is {best.short}.",
        plots.intervals(
            points, title="top-1 %", colour="input", shades=shades_of_inputs(finished, finished.rows)
        ),
    )
    about = (
        "Intervals come from drawing the videos anew (bootstrap), or are the exact bound of Clopper and Pearson where all or "
        "none are right. Made so for many sets of videos of the same kind, about 95 of 100 would hold the accuracy on all such "
        "videos. Rows whose intervals overlap widely may differ by chance; the command lgdnet compare tests two of them."
    )
    table = Table("leaderboard-table", "All rows", columns, rows, narrow=True)
    return Section("leaderboard", "Leaderboard", about, [table, figure])


def millions(text: str) -> str:
    """`37420040 -> 37.4`"""
    return f"{float(text) / 1e6:.1f}" if text else ""


HEADINGS = {"parameters": "Parameters, millions", "gflops_per_clip": "GFLOPs of a clip"}
READABLE: dict[str, Callable[[str], str]] = {"parameters": millions, "gflops_per_clip": str}


def words(row: Row) -> str:
    """`Flow, LGD-P3D-Xception, 16, TCP` without what is not there."""
    parts = (
        row.input,
        row.backbone,
        f"{row.clip} frames" if row.clip.isdigit() else row.clip,
        row.aggregation,
    )
    return ", ".join(part for part in parts if part not in ("", "-"))


def interval(text: str) -> str:
    return text.replace("-", "–")


def published(finished: Finished, judged: Judgement) -> Section:
    """A table that others published beside ours, joined by the four columns that describe a row."""
    named, path = finished.challenge.report.published, finished.published_file
    about = ("published", "Published table beside ours")
    if named is None:
        return Section(
            *about,
            absent="this challenge names no published table (`report: {published: FILE}` in the challenge file)",
        )
    if path is None:
        return Section(
            *about,
            absent=f"{named}, which `report: published:` names, is not there, nor is its copy among the results",
        )
    table = read_published(path)
    ours = {tuple(row.cells[name] for name in IDENTITY): row for row in finished.rows}
    columns = [
        *(Column(name) for name in IDENTITY),
        Column("Published top-1", "number"),
        Column("Our top-1", "number"),
        Column("Difference", "number", "ours less the published one, in points"),
        Column("Our 95 % interval", "number"),
        Column("Published top-5", "number"),
        Column("Our top-5", "number"),
    ]
    rows, points = [], []
    for line in table.to_dict("records"):
        row = ours.get(tuple(line[name] for name in IDENTITY))
        own = [NONE] * 5
        name = " ".join(line[column] for column in IDENTITY if line[column] != "-")
        points.append({"name": name, "kind": "published", "value": float(line["Top1"])})
        if row is not None:
            points.append({"name": name, "kind": "ours", "value": row.top1})
            difference = signed(row.top1 - float(line["Top1"]))
            own = [row.cells["Top1"], difference, interval(row.cells["top1_interval"]), row.cells["Top5"], ""]
        rows.append([*(line[column] for column in IDENTITY), line["Top1"], *own[:3], line["Top5"], own[3]])
    found = sum(point["kind"] == "ours" for point in points)
    blocks: list[Block] = [
        Table("published-table", "Published and ours", columns, rows),
        Figure(
            "published-plot",
            "Top-1 as published, and ours",
            f"{found} of {len(rows)} published rows have one of ours beside them.",
            plots.dumbbells(points, title="top-1 %"),
        ),
    ]
    explained = f"From {named.name}. A row of ours stands beside a published one with the same four words; – where there is none."
    return Section(*about, explained, blocks)


def read_published(path: Path) -> pd.DataFrame:
    """The columns of the slides' table, as text. Errors: InputError naming the file, its row and the way out."""
    table = read_table(path, SLIDE_COLUMNS, what="published table")[SLIDE_COLUMNS]
    for column in ("Top1", "Top5"):
        wrong = ~table[column].str.fullmatch(r"\d{1,3}(\.\d+)?")
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{path}: row {row + 2}: {column} is {table[column].iloc[row]!r}; per cent are needed, like 67.5."
            )
    return table
