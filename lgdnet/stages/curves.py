"""A picture of how a stream learned: loss, accuracy and learning rate of its `history.csv`."""

from pathlib import Path

import pandas as pd

from lgdnet.artefact import atomic
from lgdnet.errors import InputError


def run(history: Path, out: Path, *, title: str = "") -> None:
    """Draw `history` into `out` (.png or .svg). Errors: InputError without rows."""
    if not history.is_file():
        raise InputError(f"{history}: no such file. It is written while a stream trains.")
    table = pd.read_csv(history)
    if table.empty:
        raise InputError(f"{history}: no rows yet. Wait for the first {history.name} rows of the training.")
    draw({str(split): rows for split, rows in table.groupby("split")}, out, title)


def draw(rows: dict[str, pd.DataFrame], out: Path, title: str) -> None:
    """Three panels over epochs; training and validation in one panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = {"loss": "loss", "top1": "top-1 accuracy", "learning_rate": "learning rate"}
    for axes, (column, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for split, table in rows.items():
            known = table.dropna(subset=[column])
            axes.plot(
                known["epoch"], known[column], marker="o" if split == "validation" else "", ms=3, label=split
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.axes[1].set_ylim(0, 1)
    figure.axes[0].legend()
    figure.suptitle(title)
    with atomic(out) as tmp:
        figure.savefig(tmp, format=out.suffix.removeprefix("."), dpi=110)
