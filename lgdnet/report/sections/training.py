"""How the networks learned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lgdnet.history import read_history
from lgdnet.report import plots
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Block, Column, Figure, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.shades import shades
from lgdnet.report.wording import NONE, counted, hours

MOST_POINTS = 200  # of one curve; more are thinned out evenly


def training(finished: Finished, judged: Judgement) -> Section:
    """Learning curves of every network of which a history lies beside its weights."""
    about = ("training", "Learning curves")
    found = {name: history for name, path in histories(finished) if (history := read_history(path))}
    if not found:
        return Section(
            *about,
            absent="no history.csv lies beside the weights; training writes it, and copies of results may lack it",
        )
    streams = {name: rows for name, rows in found.items() if name in finished.challenge.streams}
    fitted = {name: rows for name, rows in found.items() if name not in streams}
    blocks: list[Block] = []
    for id, title, part in (("streams", "streams", streams), ("fitted", "learned aggregations", fitted)):
        if part:
            blocks += figures(id, title, part, shades(finished, part))
    columns = [
        Column("Network"),
        Column("Steps", "number"),
        Column("Epochs", "number"),
        Column("Training loss", "number", "at the end"),
        Column("Validation loss", "number", "at the end"),
        Column("Validation top-1 %", "number", "at the end, of single clips"),
        Column("Best on the way %", "number"),
        Column("Training time", "number"),
    ]
    rows = [[name, *last_words(history)] for name, history in found.items()]
    explained = (
        "Validation looks at one clip of each video, so its accuracy is usually below that of all clips together in the "
        "leaderboard. "
        "A click on a name in a legend leaves its curve alone."
    )
    return Section(
        *about,
        explained,
        [*blocks, Table("training-table", "How training ended", columns, rows, narrow=True)],
    )


def histories(finished: Finished) -> list[tuple[str, Path]]:
    """Every network and where its history would lie."""
    results, found = finished.results, []
    for name, stream in finished.challenge.streams.items():
        found.append((name, results / "streams" / name / "history.csv"))
        found += [
            (f"{name}/{way}", results / "streams" / name / way / "history.csv") for way in stream.aggregate
        ]
    return [*found, *((name, results / "joint" / name / "history.csv") for name in finished.challenge.joint)]


def figures(
    id: str, title: str, part: dict[str, list[dict[str, str]]], colours: Mapping[str, str]
) -> list[Block]:
    """Loss and accuracy of several networks."""
    loss = [point for name, rows in part.items() for point in curve(name, rows, "loss", both=True)]
    accuracy = [
        point for name, rows in part.items() for point in curve(name, rows, "top1", both=False, times=100)
    ]
    found: list[Block] = []
    if loss:
        found.append(
            Figure(
                f"loss-{id}",
                f"Loss of the {title}",
                f"Loss over epochs of {counted(len(part), 'network')}, in training and on the validation split.",
                plots.curves(loss, x="epoch", y="loss", dash=True, shades=colours),
            )
        )
    if accuracy:
        found.append(
            Figure(
                f"accuracy-{id}",
                f"Validation accuracy of the {title}",
                f"Top-1 over epochs of {counted(len(part), 'network')} on the validation split.",
                plots.curves(accuracy, x="epoch", y="top-1 %", points=True, shades=colours),
            )
        )
    return found


def curve(
    name: str, rows: Sequence[dict[str, str]], column: str, *, both: bool, times: float = 1
) -> list[dict[str, Any]]:
    """Points of one network's curves, of both splits or of validation alone."""
    points = []
    for kind in ("train", "validation") if both else ("validation",):
        own = [row for row in rows if row["split"] == kind and row[column]]
        step = -(-len(own) // MOST_POINTS) if own else 1
        kept = own[::-step][::-1]  # the last one stays
        points += [
            {
                "name": name,
                "kind": kind,
                "x": round(float(row["epoch"]), 3),
                "y": round(times * float(row[column]), 4),
            }
            for row in kept
        ]
    return points


def last_words(rows: Sequence[dict[str, str]]) -> list[str]:
    """Cells of the table: where the run ended."""
    train = [row for row in rows if row["split"] == "train" and row["loss"]]
    validation = [row for row in rows if row["split"] == "validation" and row["loss"]]
    top1 = [float(row["top1"]) for row in validation if row["top1"]]
    seconds = sum(float(row["seconds"] or 0) for row in rows)
    return [
        rows[-1]["step"],
        f"{float(rows[-1]['epoch'] or 0):g}",
        f"{float(train[-1]['loss']):.3f}" if train else NONE,
        f"{float(validation[-1]['loss']):.3f}" if validation else NONE,
        f"{100 * top1[-1]:.1f}" if top1 else NONE,
        f"{100 * max(top1):.1f}" if top1 else NONE,
        hours(seconds / 3600),
    ]
