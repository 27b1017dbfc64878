"""The commands of docs/slurm.md and docs/training.md that need a Slurm, typed as they stand there; an ID is a job's."""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.docs.elsewhere import SLURM, left_to
from tests.slurm import tiny
from tests.slurm.conftest import STARTED, Project
from tests.slurm.undisturbed import TRAIN, resumed, stopped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

STEPS = [command for command in left_to(SLURM) if command.startswith("srun")]


@dataclass(frozen=True)
class Reader(Project):
    """Someone who follows the guide, in a clone whose own challenge is `challenges/mine.yaml`."""

    typed: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "results/mine"

    def begin(self, command: str, job: str = "") -> subprocess.Popen[str]:
        self.typed.append(command)
        process = subprocess.Popen(
            ["bash", "-c", command.replace("ID", job) if job else command],
            cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        STARTED.append(process)
        return process

    def type(self, command: str, job: str = "") -> str:
        return self.end_of(self.begin(command, job))


@pytest.fixture
def reader(local, tmp_path) -> Iterator[Reader]:
    """The default challenge is done but for its dumps; the reader's own one has not begun."""
    reader = Reader(local.copy(tmp_path / "clone").folder, local.cluster)
    (reader.folder / "config.yaml").write_text(yaml.safe_dump(tiny.CHALLENGE, sort_keys=False))
    for file in (reader.folder / "results/tiny/streams/one/features").rglob("*.h5"):
        file.unlink()
    mine = yaml.safe_dump(tiny.challenge(train=TRAIN) | {"challenge": "mine"}, sort_keys=False)
    (reader.folder / "challenges/mine.yaml").write_text(mine)
    try:
        yield reader
    finally:
        reader.clear()


def test_the_guide_in_its_order(reader, local):
    assert "a test job ran on" in reader.type("lgdnet doctor --test-job")
    reader.type("snakemake --profile slurm")
    assert [row[0] for row in reader.accounted("dump", "State")] == ["COMPLETED", "COMPLETED"]
    board = "results/tiny/leaderboard.csv"
    assert (reader.folder / board).read_bytes() == (local.folder / board).read_bytes()
    reader.type("snakemake fit_check --profile slurm --configfile challenges/mine.yaml")
    assert list(reader.results.rglob("fit_check.txt"))

    process = reader.begin("snakemake --profile slurm --configfile challenges/mine.yaml")
    first = reader.trained()
    assert first in reader.type('squeue --me -o "%i %r"')
    reader.type("scancel --signal=TERM ID", first)
    reader.wait(lambda: first not in reader.jobs(), what="the first attempt to leave")
    second = reader.trained()
    reader.type("scontrol requeue ID", second)
    reader.wait(lambda: stopped(reader.log()), what="the second attempt to save itself")
    reader.slurm("scontrol", "hold", second)
    reader.wait(lambda: reader.reason("train").startswith("JobHeld"), what="the job to be held")
    reader.type("scontrol release ID", second)
    reader.end_of(process)
    assert resumed(reader) and reader.states("train")[-1] == "COMPLETED"
    assert (reader.results / "leaderboard.csv").exists()
    assert {*reader.typed, *STEPS} == set(left_to(SLURM))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_a_job_trains_in_two_processes(step, reader):
    """In a job of two nodes through torchrun, and with a task for each of two GPUs of one node."""
    options = [
        "--manifest", "results/tiny/manifest/train.csv", "--validation", "results/tiny/manifest/validation.csv",
        "--classes", "results/tiny/manifest/classes.txt", "--video-root", "sample/videos",
        "--out", "try/model.safetensors", "--settings",
        '{"backbone": "lgd-p3d-resnet18", "width": 4, "short_side": 32, "crop": 32, "clip_length": 8,'
        ' "train": {"epochs": 1, "batch_size": 2, "trackers": []}}',
    ]  # fmt: skip
    by_task = "gpus-per-task" in step
    module = "lgdnet train" if by_task else "lgdnet.launch train"
    shape = ["--nodes=1", "--ntasks=2", "--gpus=2"] if by_task else ["--nodes=2", "--gpus-per-node=1"]
    script = reader.folder / "job.sh"
    script.write_text(f"#!/bin/bash\n{step} python -m {module} {shlex.join(options)}\n")
    reader.slurm(
        "sbatch", "--wait", "--partition=cpu", "--mem=3G", "--output=output.txt", *shape, str(script)
    )
    assert "2 processes" in (reader.folder / "output.txt").read_text()
    assert (reader.folder / "try/model.safetensors").exists()
