"""Jobs of other shapes: GPUs of one node, one training on two nodes, shards as a job array."""

from collections.abc import Iterator

import pytest

from tests.slurm import tiny
from tests.slurm.conftest import Project, to_be_trained
from tests.slurm.undisturbed import TRAIN, figures, resumed, stopped

TWO_NODES = {"nodes": 2, "gpus": 1}


@pytest.fixture
def project(local, tmp_path) -> Iterator[Project]:
    yield from to_be_trained(local, tmp_path / "clone", train=TRAIN)


@pytest.mark.slow
def test_the_gpus_of_a_job_are_on_one_node(project):
    """Also where each of two nodes has one free: the job waits for a whole node."""
    blockers = [
        project.slurm(
            "sbatch", "--parsable", "-p", "shapes", "-w", node, "--gres=gpu:1", "--mem=100",
            "--output=/dev/null", "--wrap=sleep 600",
        ).strip()
        for node in ("n9", "n10")
    ]  # fmt: skip
    project.wait(lambda: set(blockers) <= set(project.jobs("RUNNING")), what="the blockers")
    process = project.start("models", "--set-resources", "train:slurm_partition=shapes")
    project.wait(lambda: project.reason("train") == "Resources", what="the job to wait for two GPUs")
    project.slurm("scancel", *blockers)
    project.end_of(process)
    [(tres, state)] = project.accounted("train", "AllocTRES,State")
    assert state == "COMPLETED" and {"node=1", "gres/gpu=2"} <= set(tres.split(","))


def on_two_nodes(project: Project) -> None:
    settings = tiny.challenge(train=TRAIN)
    settings["jobs"]["train"] |= TWO_NODES
    tiny.configure(project.folder, settings)


@pytest.mark.slow
def test_one_training_on_two_nodes_hears_a_signal_and_a_requeue(project):
    """torchrun starts a process per node; all of them save and leave, and the next attempt goes on there."""
    on_two_nodes(project)
    process = project.start("models")
    project.slurm("scancel", "--signal=TERM", project.trained())
    [first] = project.wait(lambda: resumed(project), what="the second attempt")
    [job] = project.jobs("RUNNING")
    project.slurm("scontrol", "requeue", job)
    second = project.wait(lambda: stopped(project.log()), what="both processes to save")
    output = project.end_of(process)
    assert set(stopped(output)) == {first} and set(second) == set(resumed(project))
    rows = project.accounted("train", "AllocTRES,State")
    assert [rows[0][1], rows[-1][1]] == ["FAILED", "COMPLETED"]
    assert {"node=2", "gres/gpu=2"} <= set(rows[-1][0].split(","))
    assert "batch 2 (2 processes x 1 parts)" in project.log()
    steps = [int(row["step"]) for row in figures(project) if row["split"] == "train"]
    assert steps == list(range(2, 121, 2))  # none twice, none left out


@pytest.mark.slow
def test_shards_as_a_job_array(local, tmp_path):
    project = local.copy(tmp_path / "clone")
    for split in ("validation", "test"):
        (project.results / f"streams/one/features/{split}/0000.h5").unlink()
    project.run("--slurm-array-jobs", "dump")
    names = [row[0] for row in project.accounted("", "JobID")]
    assert sum("_" in name for name in names) == 2
    same = "leaderboard.csv"
    assert (project.results / same).read_bytes() == (local.results / same).read_bytes()
