"""A Snakemake that was killed: nobody is locked out, nothing runs twice, and no file of other settings is adopted."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.slurm import tiny
from tests.slurm.conftest import Project, kill, to_be_trained
from tests.slurm.undisturbed import TRAIN, check_all, check_training, resumed

HELD = ["--set-resources", "train:slurm_extra='--signal=TERM@120 --hold'"]
OTHER = tiny.challenge(train={**TRAIN, "learning_rate": 0.02})

pytestmark = pytest.mark.slow  # a minute each where nothing else runs


@pytest.fixture
def project(local, tmp_path) -> Iterator[Project]:
    yield from to_be_trained(local, tmp_path / "clone", train=TRAIN)


def finish(project: Project, job: str) -> None:
    """Wait until a job whose Snakemake was killed has ended."""
    project.wait(lambda: job not in project.jobs(), what="the job to end")
    assert project.model.exists(), project.told()


@pytest.mark.quick
def test_a_job_that_still_runs_is_ended_and_goes_on_where_it_was(project, left_alone):
    """Also if Snakemake was killed in the moment when it had given the job to the cluster and not yet noted it."""
    process = project.start("models")
    job = project.trained()
    kill(process)
    shutil.rmtree(project.folder / ".snakemake/lgdnet-jobs")
    output = project.run("models")
    assert f"jobs of an earlier start are still in the queue; ending them: {job}" in output
    assert resumed(project) and project.states("train") == ["CANCELLED", "COMPLETED"]
    check_training(project, left_alone)


def test_a_job_that_finished_meanwhile_is_taken_with_the_settings_that_made_it(project, left_alone):
    process = project.start("models")
    job = project.trained()
    kill(process)
    finish(project, job)
    tiny.configure(project.folder, OTHER)
    planned = project.run("--dry-run", "models")
    assert "rule train" in planned and "Params have changed" in planned
    tiny.configure(project.folder, tiny.challenge(train=TRAIN))
    assert "Nothing to be done" in project.run("models")
    assert project.states("train") == ["COMPLETED"]
    check_all(project, left_alone)


def test_a_job_that_starts_late_has_the_settings_that_it_was_submitted_with(project, left_alone):
    process = project.start("models", *HELD)
    project.wait(lambda: any(rule.startswith("rule_train") for rule in project.jobs().values()))
    [job] = project.jobs()
    project.wait(lambda: list(project.folder.glob(".snakemake/lgdnet-jobs/*.json")), what="its note")
    kill(process)
    tiny.configure(project.folder, OTHER)
    project.slurm("scontrol", "release", job)
    finish(project, job)
    assert "Params have changed" in project.run("--dry-run", "models")
    tiny.configure(project.folder, tiny.challenge(train=TRAIN))
    assert "Nothing to be done" in project.run("models")
    assert project.states("train") == ["COMPLETED"]
    check_training(project, left_alone)


def test_a_file_of_other_settings_is_made_again(project):
    """And not trained further: its checkpoints lie aside."""
    process = project.start("models")
    job = project.trained()
    kill(process)
    finish(project, job)
    tiny.configure(project.folder, OTHER)
    project.run("models")
    assert project.states("train") == ["COMPLETED", "COMPLETED"] and resumed(project) == []
    assert "Nothing to be done" in project.run("models")


def test_jobs_of_an_array_are_ended_too(local, tmp_path):
    project = local.copy(tmp_path / "clone")
    for split in ("validation", "test"):
        (project.results / f"streams/one/features/{split}/0000.h5").unlink()
    array = ["--slurm-array-jobs", "dump"]
    process = project.start(*array, "--set-resources", "dump:slurm_extra='--hold'")
    project.wait(
        lambda: len(list(project.folder.glob(".snakemake/lgdnet-jobs/*.json"))) == 2, what="both notes"
    )
    [job] = project.arrays()
    kill(process)
    output = project.run(*array)
    assert f"ending them: {job}_1 {job}_2" in output
    assert project.states("dump") == ["COMPLETED", "COMPLETED"]  # those of the second start
    assert (project.results / "leaderboard.csv").read_bytes() == (
        local.results / "leaderboard.csv"
    ).read_bytes()


def test_two_living_ones_exclude_each_other(project):
    process = project.start("models", *HELD)
    project.wait(lambda: any(rule.startswith("rule_train") for rule in project.jobs().values()))
    second = project.try_run()
    assert second.returncode != 0
    assert "results/tiny: another snakemake is at work on these results (process" in second.stdout
    status = subprocess.run(
        ["python", "-m", "lgdnet", "status"],
        cwd=project.folder, env=project.environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert any(line.split() == ["train", "0", "1", "0", "0"] for line in status.splitlines()), status
    assert "train one (Slurm job" in status and "in the queue, or just starting" in status
    process.terminate()
    project.slurm("scancel", *project.jobs())  # which Snakemake waits for
    project.end_of(process, code=1)
