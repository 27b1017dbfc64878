"""How a training run went: `history.csv` always; TensorBoard, Weights & Biases and MLflow if asked for."""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lgdnet.artefact import write_text
from lgdnet.errors import InputError

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
        """Keep the rows of the first `step` steps; a half-written last line goes too."""
        kept = [row for row in read_history(self.path) if int(row["step"]) <= step] if step else []
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_text(self.path, text.getvalue())
        if self.trackers is None:
            self.trackers = self.open_trackers(step)

    def close(self) -> None:
        """Everything is written after this."""
        for tracker in self.trackers or ():
            tracker.close()

    def add(self, **values: Any) -> None:
        """One row; a column without a value stays empty. Errors: KeyError for an unknown column."""
        unknown = sorted(set(values) - set(COLUMNS))
        if unknown:
            raise KeyError(f"{unknown[0]!r} is no column of history.csv")
        line = ",".join(shown(values.get(column)) for column in COLUMNS) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        points = {
            f"{values['split']}/{key}": float(value)
            for key, value in values.items()
            if isinstance(value, float)
        }
        for tracker in self.trackers or ():
            tracker.log(values["step"], points)

    def has_validation(self, step: int) -> bool:
        """Was the split evaluated after `step` steps?"""
        return any(
            row["split"] == "validation" and int(row["step"]) == step for row in read_history(self.path)
        )


def read_history(path: Path) -> list[dict[str, str]]:
    """Complete rows of a `history.csv`; none when there is no file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]  # a killed process may have left half a line
    return [row for row in csv.DictReader(io.StringIO(whole)) if row["step"] and None not in row.values()]


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


class WeightsAndBiases:
    """A run that a resumed process joins again, by its name."""

    def __init__(self, folder: Path, run: str, resume_step: int) -> None:
        import wandb

        self.run = wandb.init(dir=str(folder), name=run, id=run.replace("/", "-"), resume="allow")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of MLflow; where to is its own environment (MLFLOW_TRACKING_URI)."""

    def __init__(self, folder: Path, run: str, resume_step: int) -> None:
        import mlflow

        self.mlflow = mlflow
        self.run = mlflow.start_run(run_name=run)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self.mlflow.end_run()


TRACKERS: dict[str, Any] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}
