"""Class by class: accuracy, what flow and sound bring, and what is taken for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lgdnet.report import plots
from lgdnet.report.alike import alike_order
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Block, Column, Figure, Matrix, Section, Table
from lgdnet.report.gains import WORDS, Gain, gains, missing_gains
from lgdnet.report.judged import Judgement
from lgdnet.report.wording import NONE, counted, percent, signed

SHOWN = 15  # classes at each end of a plot
MOST_PAIRS = 200


def classes(finished: Finished, judged: Judgement) -> Section:
    """Accuracy of every class in the best row, and what flow and sound bring to it."""
    about = ("classes", "Classes")
    best = judged.of(finished.best)
    seen = np.flatnonzero(judged.class_counts)
    names = judged.classes
    found = gains(finished)
    changes = {gain.modality: class_gain(judged, gain) for gain in found}
    columns = [
        Column("Class"),
        Column("Videos", "number"),
        Column("Top-1 %", "number", f"of {finished.best.short}"),
        *(Column(f"{WORDS[g.modality].capitalize()}, points", "number", gain_words(g)) for g in found),
        Column("Most often taken for"),
    ]
    taken = most_taken_for(best.confusion(), names)
    rows = [
        [
            names[k],
            str(judged.class_counts[k]),
            percent(best.class_top1[k]),
            *(signed(100 * changes[gain.modality][k]) for gain in found),
            taken[k],
        ]
        for k in seen
    ]
    blocks: list[Block] = ends(best.class_top1, seen, names)
    for gain in found:
        blocks.append(gain_figure(gain, changes[gain.modality], seen, names))
    blocks.append(Table("classes-table", "All classes", columns, rows))
    explained = [f"Accuracy is that of {finished.best.short}, the best row."]
    explained += [f"{WORDS[gain.modality].capitalize()}: {gain_words(gain)}." for gain in found]
    explained += [
        f"What {WORDS[modality]} brings is left out: no two rows differ by it alone."
        for modality in missing_gains(finished)
    ]
    if len(seen) < len(names):
        explained.append(
            f"{counted(len(names) - len(seen), 'class', 'classes')} without videos in this split are left out."
        )
    return Section(*about, " ".join(explained), blocks)


def class_gain(judged: Judgement, gain: Gain) -> np.ndarray:
    """(K,) difference of class accuracies in [-1, 1]"""
    return judged.of(gain.having).class_top1 - judged.of(gain.lacking).class_top1


def gain_words(gain: Gain) -> str:
    names = f"{gain.having.short} less {gain.lacking.short}"
    if gain.alone:
        return f"{names}, each by itself: no two fusions differ by {WORDS[gain.modality]} alone"
    return f"{names}, which is the same without {WORDS[gain.modality]}"


def ends(accuracy: np.ndarray, seen: np.ndarray, names: Sequence[str]) -> list[Block]:
    """Best and worst classes; one plot where there are few."""
    order = seen[np.argsort(-accuracy[seen], kind="stable")]
    parts = [("classes-all", "Accuracy by class", order)]
    if len(order) > 2 * SHOWN:
        parts = [
            ("classes-best", f"The {SHOWN} best classes", order[:SHOWN]),
            ("classes-worst", f"The {SHOWN} worst classes", order[::-1][:SHOWN]),
        ]
    return [
        Figure(
            id,
            title,
            f"{title}: from {names[part[0]]} with {percent(accuracy[part[0]])} % to {names[part[-1]]} with "
            f"{percent(accuracy[part[-1]])} %.",
            plots.bars([bar(names[k], accuracy[k]) for k in part], title="top-1 %"),
        )
        for id, title, part in parts
    ]


def gain_figure(gain: Gain, change: np.ndarray, seen: np.ndarray, names: Sequence[str]) -> Figure:
    """Classes that gain and lose most by a modality."""
    order = seen[np.argsort(-change[seen], kind="stable")]
    shown = order if len(order) <= 2 * SHOWN else np.concatenate([order[:SHOWN], order[-SHOWN:]])
    word = WORDS[gain.modality]
    whole = (
        f"{word[0].upper()}{word[1:]} less frames, each alone, by class"
        if gain.alone
        else f"What {word} brings to each class"
    )
    says = (
        f"{gain.having.short} less {gain.lacking.short}, in all {signed(gain.having.top1 - gain.lacking.top1)} points: "
        f"most for {names[shown[0]]}, {signed(100 * change[shown[0]])}; "
        f"least for {names[shown[-1]]}, {signed(100 * change[shown[-1]])}."
    )
    return Figure(
        f"gain-{gain.modality}",
        whole + (f", {SHOWN} at each end" if len(shown) < len(order) else ""),
        says,
        plots.bars([bar(names[k], change[k]) for k in shown], title="points of top-1", signed=True),
    )


def bar(name: str, fraction: float) -> dict[str, Any]:
    return {"name": name, "value": round(100 * float(fraction), 1)}


def most_taken_for(confusion: np.ndarray, names: Sequence[str]) -> list[str]:
    """For each class the wrong one it is most often given, and how often."""
    wrong = confusion * (1 - np.eye(len(names), dtype=int))
    best = wrong.argmax(axis=1)
    return [f"{names[j]} ({wrong[k, j]}×)" if wrong[k, j] else NONE for k, j in enumerate(best.tolist())]


def confusion(finished: Finished, judged: Judgement) -> Section:
    """The confusion matrix of the best row and of the best of each kind; the pairs most confused by the first that errs."""
    shown = finished.best_of_each_kind
    counts = {row.short: judged.of(row).confusion() for row in shown}
    best = counts[finished.best.short]
    accuracy = judged.of(finished.best).class_top1
    data = {
        "classes": judged.classes,
        "videos": judged.class_counts.tolist(),
        "orders": {
            "alike classes together": alike_order(best),
            "by accuracy": np.argsort(-np.nan_to_num(accuracy, nan=-1), kind="stable").tolist(),
            "by name": sorted(range(len(judged.classes)), key=lambda k: judged.classes[k].casefold()),
        },
        "rows": [{"name": name, "cells": packed(matrix)} for name, matrix in counts.items()],
    }
    wrong, total = int(best.sum() - np.trace(best)), int(best.sum())
    mistaken = next((name for name, matrix in counts.items() if np.trace(matrix) < matrix.sum()), None)
    found: list[Block] = [pairs(judged.classes, counts[mistaken], mistaken)] if mistaken else []
    told = (
        f"The pairs that {mistaken} confuses most are in the table below."
        if mistaken
        else "No two are confused."
    )
    says = (
        f"{counted(len(judged.classes), 'class', 'classes')}; {counted(total - wrong, 'video')} of {total:,} lie on the "
        f"diagonal. {told}"
    )
    explained = (
        "A line is what the videos of a class are, a column what they are taken for; stronger is a larger share of the line, and "
        "the diagonal, in another colour, is right. Point at a cell, or move with the arrow keys, to read it."
    )
    return Section(
        "confusion",
        "Confusions",
        explained,
        [Matrix("confusion-matrix", "Confusion matrix", says, data), *found],
    )


def packed(matrix: np.ndarray) -> list[int]:
    """Cells that are not 0 as pairs of (distance to the cell before, count), counted along the lines."""
    places = np.flatnonzero(matrix)
    steps = np.diff(places, prepend=0)
    return np.column_stack([steps, matrix.ravel()[places]]).ravel().tolist()


def pairs(names: Sequence[str], matrix: np.ndarray, row: str) -> Table:
    """The classes that a row takes most often for each other, both ways counted."""
    both = np.triu(matrix + matrix.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:MOST_PAIRS]
    videos = matrix.sum(axis=1)
    rows = []
    for i, j in zip(*np.unravel_index(order, both.shape), strict=True):
        if both[i, j] == 0:
            break
        a, b = (i, j) if matrix[i, j] >= matrix[j, i] else (j, i)
        share = both[i, j] / (videos[i] + videos[j])
        rows.append([names[a], names[b], str(matrix[a, b]), str(matrix[b, a]), percent(share)])
    columns = [
        Column("Class"),
        Column("and class"),
        Column("First taken for second", "number", "videos"),
        Column("Second for first", "number", "videos"),
        Column("Share %", "number", "of the videos of both classes"),
    ]
    return Table(
        "pairs-table",
        f"Pairs most confused by {row}{f', the first {MOST_PAIRS}' if len(rows) == MOST_PAIRS else ''}",
        columns,
        rows,
        narrow=True,
    )
