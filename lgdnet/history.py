"""How a training run went: `history.csv` always; TensorBoard, Weights & Biases and MLflow if asked for."""

import csv
import io
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lgdnet.artefact import full_disk_explained, write_text
from lgdnet.errors import InputError
from lgdnet.log import warn

COLUMNS = (
    "step",
    "epoch",
    "split",  # train: means over the steps since the row before; validation: the whole split
    "loss",
    "learning_rate",
    "gradient_norm",  # before clipping
    "clips_per_sec",
    "data_wait_sec",  # since the row before
    "memory_mb",  # peak: of the GPU, or of the process
    "top1",  # of the training clips: as they were augmented, with dropout
    "top5",
    "seconds",  # since the row before
)


BAD_STEP_COLUMNS = ("step", "learning_rate", "loss", "gradient_norm", "rank", "video_ids")


class Tracker(Protocol):
    """A place that draws curves."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to each named curve."""

    def close(self) -> None:
        """Everything is written after this."""


class History:
    """Rows of one run in `path`, and the same in every tracker.

    After a resume, `cut` removes what will be trained again, so that each step stands there once.
    """

    def __init__(
        self, path: Path, open_trackers: Callable[[int], Sequence[Tracker]] = lambda step: ()
    ) -> None:
        """`open_trackers(step)` is called once, when it is known after which step the run goes on."""
        self.path = path
        self.open_trackers = open_trackers
        self.trackers: Sequence[Tracker] | None = None

    def cut(self, step: int) -> None:
        """Keep the rows of the first `step` steps, of bad ones too; a half-written last line goes."""
        rows = read_rows(self.path, COLUMNS) if step else []
        write_rows(self.path, COLUMNS, [row for row in rows if int(row["step"]) <= step])
        for path in self.path.parent.glob(
            "bad_steps*.csv"
        ):  # of all processes; their steps are counted from 0
            bad = [row for row in read_rows(path, BAD_STEP_COLUMNS) if int(row["step"]) < step]
            write_rows(path, BAD_STEP_COLUMNS, bad) if bad else path.unlink()
        if self.trackers is None:
            with full_disk_explained(self.path.parent):
                self.trackers = self.open_trackers(step)

    def close(self) -> None:
        """Everything is written after this. Errors: InputError when the disk is full."""
        for tracker in self.trackers or ():
            with full_disk_explained(self.path.parent):
                tracker.close()

    def add(self, **values: Any) -> None:
        """One row; a column without a value stays empty.

        Errors: KeyError for an unknown column, InputError when the disk is full.
        """
        unknown = sorted(set(values) - set(COLUMNS))
        if unknown:
            raise KeyError(f"{unknown[0]!r} is no column of history.csv")
        add_row(self.path, COLUMNS, values)
        points = {
            f"{values['split']}/{key}": float(value)
            for key, value in values.items()
            if isinstance(value, float)
        }
        for tracker in self.trackers or ():
            with full_disk_explained(self.path.parent):
                tracker.log(values["step"], points)

    def add_bad_step(self, rank: int, **values: Any) -> Path:
        """One row in this process's `bad_steps.csv`, and where that is. Errors: InputError when the disk is full."""
        path = self.path.with_name(f"bad_steps-{rank}.csv" if rank else "bad_steps.csv")
        if not path.exists():
            write_rows(path, BAD_STEP_COLUMNS, [])
        add_row(path, BAD_STEP_COLUMNS, {"rank": rank, **values})
        return path

    def has_validation(self, step: int) -> bool:
        """Was the split evaluated after `step` steps?"""
        return any(
            row["split"] == "validation" and int(row["step"]) == step for row in read_rows(self.path, COLUMNS)
        )


def read_history(path: Path) -> list[dict[str, str]]:
    """Complete rows of a `history.csv`; none when there is no file."""
    return read_rows(path, COLUMNS)


# ---- tables of steps


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Whole rows; one that is damaged is left out with a warning. None when there is no file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]  # a killed process may have left half a line
    rows = list(csv.reader(io.StringIO(whole.replace("\0", "?"))))[1:]
    good = [row for row in rows if len(row) == len(columns) and row[0].isdecimal()]
    if len(good) < len(rows):
        warn(f"{path}: {len(rows) - len(good)} damaged lines, left out.")
    return [dict(zip(columns, row, strict=True)) for row in good]


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """A table that is whole or as it was. Errors: InputError when the disk is full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with full_disk_explained(path):
        write_text(path, text.getvalue())


def add_row(path: Path, columns: Sequence[str], values: Mapping[str, Any]) -> None:
    """A row at the end, on disk when this returns. Errors: InputError when the disk is full."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([shown(values.get(column)) for column in columns])
    with full_disk_explained(path), path.open("a", encoding="utf-8") as file:
        file.write(line.getvalue())
        file.flush()
        os.fsync(file.fileno())


def shown(value: Any) -> str:
    """A cell; floats with nine digits, enough to get a float32 back."""
    return "" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)


# ---- trackers


def open_trackers(names: Sequence[str], folder: Path, run: str, resume_step: int) -> list[Tracker]:
    """The trackers called `names`, in order. Errors: InputError for one that is unknown or not installed."""
    trackers: list[Tracker] = []
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"trackers: {name!r} is unknown; known: {', '.join(TRACKERS)}.")
        try:
            trackers.append(TRACKERS[name](folder, run, resume_step))
        except ImportError:
            raise InputError(
                f"trackers: {name!r} is asked for but not installed: pip install {name}"
            ) from None
    return trackers


class TensorBoard:
    """Event files in `folder`/tensorboard; points after a resumed step are hidden."""

    def __init__(self, folder: Path, run: str, resume_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


def known_run(path: Path, resume_step: int) -> str | None:
    """What a service called this run before; None when training starts anew."""
    return path.read_text(encoding="utf-8").strip() if resume_step and path.exists() else None


class WeightsAndBiases:
    """A run that a resumed process joins again; training that starts anew is a new one."""

    def __init__(self, folder: Path, run: str, resume_step: int) -> None:
        import wandb

        path = folder / "wandb_run.txt"
        name = known_run(path, resume_step) or uuid.uuid4().hex[:12]
        self.run = wandb.init(dir=str(folder), name=run, id=name, resume="allow")
        write_text(path, f"{name}\n")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of MLflow, joined again like one of W&B; where to is its own environment (MLFLOW_TRACKING_URI)."""

    def __init__(self, folder: Path, run: str, resume_step: int) -> None:
        import mlflow

        self.mlflow = mlflow
        path = folder / "mlflow_run.txt"
        self.run = mlflow.start_run(run_id=known_run(path, resume_step), run_name=run)
        write_text(path, f"{self.run.info.run_id}\n")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self.mlflow.end_run()


TRACKERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}
