"""A training that is hit: it goes on where it saved, ends in the bytes of one that was left alone, and nothing that
was complete runs twice."""

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.conftest import Project, to_be_trained
from tests.slurm.undisturbed import TRAIN, check_training, resumed, stopped

pytestmark = pytest.mark.slow  # a minute each where nothing else runs


@pytest.fixture
def project(local, tmp_path) -> Iterator[Project]:
    yield from to_be_trained(local, tmp_path / "clone", train=TRAIN)


def in_partition(project: Project, partition: str) -> list[str]:
    return ["--set-resources", f"train:slurm_partition={partition}"]


@pytest.mark.quick
def test_a_signal_is_heard_saved_for_and_costs_no_step(project, left_alone):
    process = project.start("models")
    project.slurm("scancel", "--signal=TERM", project.trained())
    output = project.end_of(process)
    assert stopped(output) and stopped(output) == resumed(project)
    assert project.states("train") == ["FAILED", "COMPLETED"]
    check_training(project, left_alone)


def test_the_signal_before_the_time_limit(project, left_alone):
    """With the profile's two minutes of warning. The training stands still until it has come."""
    process = project.start("models")
    job = project.trained()
    project.stop(job)
    project.slurm("scontrol", "update", f"jobid={job}", "timelimit=2")
    # Where the shell above it ends at the warning, the kernel itself lets a process go on that stands still.
    project.wait(lambda: project.has_a_signal_to_come() or job not in project.jobs(), what="the warning")
    if project.has_a_signal_to_come():
        project.slurm("scancel", "--signal=CONT", job)
    output = project.end_of(process)
    assert stopped(output) and stopped(output) == resumed(project)
    assert project.states("train") == ["FAILED", "COMPLETED"]
    check_training(project, left_alone)


def test_requeue_by_an_operator(project, left_alone):
    process = project.start("models")
    job = project.trained()
    project.slurm("scontrol", "requeue", job)
    saved = project.wait(lambda: stopped(project.log()), what="the training to save itself")
    project.end_of(process)
    assert saved == resumed(project)
    assert {row[0] for row in project.accounted("train", "JobID")} == {
        job
    }  # Slurm started it again by itself
    check_training(project, left_alone)


def test_preemption_by_a_job_of_higher_rank(project, left_alone):
    process = project.start("models", *in_partition(project, "low"))
    job = project.trained()
    project.slurm("sbatch", "-p", "urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
    saved = project.wait(lambda: stopped(project.log()), what="the training to save itself")
    project.end_of(process)
    assert saved == resumed(project)
    assert {row[0] for row in project.accounted("train", "JobID")} == {job}
    check_training(project, left_alone)


def test_a_node_that_an_operator_sets_down(project, left_alone):
    """It comes back by itself here (`ReturnToService`)."""
    process = project.start("models", *in_partition(project, "weak"))
    job = project.trained(saved=True)
    [node] = project.slurm("squeue", "-h", "-j", job, "-o", "%N").split()
    project.slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    project.end_of(process)
    assert resumed(project)
    check_training(project, left_alone)


def test_a_node_whose_power_is_cut(project, left_alone):
    """Slurm notices after `SlurmdTimeout` and starts the job again on another node."""
    process = project.start("models", *in_partition(project, "spare"))
    job = project.trained(saved=True)
    [node] = project.slurm("squeue", "-h", "-j", job, "-o", "%N").split()
    project.cluster.lose(node)
    project.end_of(process)
    project.cluster.start("slurmd", "-N", node)
    assert resumed(project)  # costs what was trained since the last checkpoint
    nodes = [row[0] for row in project.accounted("train", "NodeList,State") if row[1] == "COMPLETED"]
    assert nodes and nodes != [node]
    check_training(project, left_alone)


@pytest.fixture
def own_cluster(local, tmp_path_factory) -> Iterator[Cluster]:
    """One that may be stopped without harm to other tests."""
    folder = tmp_path_factory.mktemp("c")
    cluster = Cluster(folder)
    cluster.up()
    yield cluster
    cluster.down()


def test_a_restart_of_slurms_controller_and_a_stop_of_its_database(local, left_alone, own_cluster, tmp_path):
    there = Project(local.folder, own_cluster)
    for project in to_be_trained(there, tmp_path / "clone", train=TRAIN):
        process = project.start("models")
        project.trained()
        own_cluster.stop("slurmctld.pid")
        own_cluster.stop("slurmdbd.pid")
        own_cluster.start("slurmctld")
        project.wait(lambda project=project: stopped(project.log()) or project.model.exists(), what="its end")
        project.end_of(process)
        own_cluster.start("slurmdbd")
        own_cluster.wait("slurmdbd", lambda: own_cluster.ok("sacctmgr", "-n", "list", "cluster"))
        project.wait(lambda project=project: project.states("train") == ["COMPLETED"], what="its row")
        check_training(project, left_alone)
