"""What a disturbed training has to end in: the bytes of one that was left alone."""

import csv
import re
from pathlib import Path

from tests.slurm import tiny
from tests.slurm.conftest import Project

# 120 steps, some seconds on one core; saved once a second, and when it is told to stop.
TRAIN = {
    "epochs": 40,
    "batch_size": 2,
    "learning_rate": 0.01,
    "trackers": [],
    "validate_every_epochs": 20,
    "checkpoint_every_minutes": 0.02,
    "log_every_steps": 2,
}
TIMES = {"clips_per_sec", "data_wait_sec", "seconds", "memory_mb"}


def leave_alone(local: Project, folder: Path) -> None:
    """The same challenge, run without Slurm and without any disturbance."""
    project = local.copy(folder)
    tiny.configure(project.folder, tiny.challenge(train=TRAIN))
    project.run_locally()


def check_training(project: Project, left_alone: Project) -> None:
    """The model and the history; the stage before was complete and has not run again."""
    assert project.accounted("manifest") == []
    assert project.model.read_bytes() == left_alone.model.read_bytes()
    assert figures(project) == figures(left_alone)


def check_all(project: Project, left_alone: Project) -> None:
    """And what comes of it, once; then there is nothing left to do."""
    check_training(project, left_alone)
    trained = project.states("train")
    project.run()
    assert project.states("train") == trained and project.states("dump") == ["COMPLETED", "COMPLETED"]
    for name in ("leaderboard.csv", "submission.json"):
        assert (project.results / name).read_bytes() == (left_alone.results / name).read_bytes(), name
    assert "Nothing to be done" in project.run()


def figures(project: Project) -> list[dict[str, str]]:
    """The history without the columns that time makes."""
    with (project.results / "streams/one/history.csv").open() as file:
        return [{key: row[key] for key in row if key not in TIMES} for row in csv.DictReader(file)]


def stopped(text: str) -> list[int]:
    """The steps after which a training says that it was stopped and saved."""
    return [int(step) for step in re.findall(r"^stopped by .* after step (\d+), saved", text, re.MULTILINE)]


def resumed(project: Project) -> list[int]:
    """The step from which the last attempt went on."""
    return [int(step) for step in re.findall(r"^resumed after step (\d+)", project.log(), re.MULTILINE)]
