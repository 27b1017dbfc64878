"""A training that is hit: the bytes of one that was left alone, and nothing that was complete runs twice."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.slurm import tiny
from tests.slurm.conftest import Project, kill

# A quarter of a minute on one core, saved every two seconds.
TRAIN = {
    "epochs": 120,
    "batch_size": 2,
    "learning_rate": 0.01,
    "trackers": [],
    "validate_every_epochs": 60,
    "checkpoint_every_minutes": 0.03,
}
LONGER = {**TRAIN, "epochs": 320}  # Slurm looks at time limits every half minute
MODEL = "streams/one/model.safetensors"


@pytest.fixture(scope="module")
def left_alone(local, tmp_path_factory) -> Callable[[dict], bytes]:
    """The model that a local run with these settings makes."""

    @cache
    def model(epochs: int) -> bytes:
        project = local.copy(tmp_path_factory.mktemp("left-alone") / "clone")
        tiny.configure(project.folder, tiny.challenge(train={**TRAIN, "epochs": epochs}))
        command = project.command("--cores", "2", "models")
        done = subprocess.run(
            command, cwd=project.folder, env=project.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return (project.results / MODEL).read_bytes()

    return lambda settings: model(settings["epochs"])


@pytest.fixture
def undisturbed(left_alone) -> bytes:
    return left_alone(TRAIN)


@pytest.fixture
def project(finished, tmp_path) -> Iterator[Project]:
    """A finished challenge whose stream has to be trained anew."""
    copy = finished.copy(tmp_path / "clone")
    tiny.configure(copy.folder, tiny.challenge(train=TRAIN))
    shutil.rmtree(copy.results / "streams/one/checkpoints")
    copy.run("--cleanup-metadata", str(Path("results/tiny") / MODEL))
    (copy.results / MODEL).unlink()
    yield copy
    for job in copy.jobs():
        copy.slurm("scancel", job)


def end_of(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output[-5000:]
    return output


def is_the_model_of(project: Project, undisturbed: bytes) -> bool:
    assert project.accounted("manifest") == []  # complete before, and not run again
    return (project.results / MODEL).read_bytes() == undisturbed


def log(project: Project) -> str:
    return (project.results / "logs/train/one.log").read_text()


def start_now(project: Project, job: str) -> None:
    """Slurm holds a job back for two minutes before it starts it again; the operator may say now."""
    project.wait(lambda: job in project.jobs("PENDING"), 60)
    project.wait(
        lambda: subprocess.run(
            ["scontrol", "update", f"jobid={job}", "starttime=now"], env=project.environment, capture_output=True
        ).returncode == 0
    )  # fmt: skip


def states(project: Project) -> list[str]:
    return [state.split()[0] for [state] in project.accounted("train")]


def test_a_signal(project, undisturbed):
    process = project.start("models")
    project.slurm("scancel", "--signal=TERM", project.training())
    end_of(process)
    assert "resum" in log(project) and is_the_model_of(project, undisturbed)
    assert states(project) == ["FAILED", "COMPLETED"]


def test_the_time_limit(project, left_alone):
    """One minute, Slurm's shortest; the early signal comes within its first half."""
    settings = tiny.challenge(train=LONGER)
    settings["jobs"]["train"]["hours"] = 1 / 60
    tiny.configure(project.folder, settings)
    end_of(project.start("models", "--set-resources", "train:slurm_extra='--signal=TERM@58'"))
    assert "resum" in log(project) and is_the_model_of(project, left_alone(LONGER))
    assert (
        len(states(project)) > 1 and states(project)[-1] == "COMPLETED" and "TIMEOUT" not in states(project)
    )


def test_requeue_by_an_operator(project, undisturbed):
    process = project.start("models")
    job = project.training()
    project.slurm("scontrol", "requeue", job)
    start_now(project, job)
    end_of(process)
    assert "resum" in log(project) and is_the_model_of(project, undisturbed)
    assert {row[0] for row in project.accounted("train", "JobID")} == {job}


def test_preemption_by_a_job_of_higher_rank(project, undisturbed):
    process = project.start("models")
    job = project.training()
    urgent = [
        "sbatch",
        "--parsable",
        "-p",
        "urgent",
        "-N2",
        "--exclusive",
        "--output=/dev/null",
        "--wrap=sleep 2",
    ]
    project.slurm(*urgent)
    start_now(project, job)
    end_of(process)
    assert "resum" in log(project) and is_the_model_of(project, undisturbed)


def test_a_restart_of_slurms_controller(project, undisturbed):
    process = project.start("models")
    project.training()
    project.cluster.stop("slurmctld.pid")
    project.cluster.start("slurmctld")
    end_of(process)
    assert is_the_model_of(project, undisturbed) and states(project) == ["COMPLETED"]


def test_a_snakemake_that_is_killed_and_started_again(project, undisturbed):
    process = project.start("models")
    job = project.training()
    kill(process)
    project.run("--unlock")
    output = project.run("models")
    assert f"ending them: {job}" in output
    assert "resum" in log(project) and is_the_model_of(project, undisturbed)
    assert states(project) == ["CANCELLED", "COMPLETED"]


def test_a_job_that_finishes_after_its_snakemake_was_killed_is_not_run_again(project, undisturbed):
    process = project.start("models")
    job = project.training()
    kill(process)
    project.wait(lambda: job not in project.jobs(), 120)
    assert is_the_model_of(project, undisturbed)
    project.run("--unlock")
    project.run()
    assert states(project) == ["COMPLETED"] and is_the_model_of(project, undisturbed)
    assert "Nothing to be done" in project.run()
    settings = tiny.challenge(train={**TRAIN, "learning_rate": 0.02})
    tiny.configure(project.folder, settings)
    planned = project.run("--dry-run", "models")
    assert "train" in planned and "Params have changed" in planned


def test_a_file_that_finished_late_is_not_taken_for_one_of_changed_settings(project):
    process = project.start("models")
    job = project.training()
    kill(process)
    project.wait(lambda: job not in project.jobs(), 120)
    tiny.configure(project.folder, tiny.challenge(train={**TRAIN, "learning_rate": 0.02}))
    project.run("--unlock")
    done = project.try_run()
    assert done.returncode != 0
    assert f"{Path('results/tiny') / MODEL}: finished after its snakemake was killed, and" in done.stdout
    assert "tiny.yaml has changed since. Delete it to make it again" in done.stdout
