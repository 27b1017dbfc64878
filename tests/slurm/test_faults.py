"""What a user sees when the cluster does not take the jobs: the cause and the line to change, nothing submitted."""

import os
import shutil
import subprocess

import pytest

from tests.slurm import tiny
from tests.slurm.configuration import user
from tests.slurm.conftest import Project


@pytest.fixture
def fresh(cluster, local, tmp_path) -> Project:
    project = Project(tiny.clone(tmp_path / "clone"), cluster)
    shutil.copytree(local.folder / "sample", project.folder / "sample")
    tiny.configure(project.folder, tiny.CHALLENGE)
    return project


def edit_profile(project: Project, line: str) -> None:
    """One more line under `default-resources`, as a user would write it."""
    path = project.folder / "slurm/config.yaml"
    path.write_text(path.read_text().replace("default-resources:\n", f"default-resources:\n  {line}\n"))


def seen(project: Project) -> str:
    done = project.try_run()
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert project.accounted("") == []
    return done.stdout


def test_a_wrong_account(fresh):
    edit_profile(fresh, "slurm_account: visoin")
    assert (
        "slurm/config.yaml: default-resources: slurm_account: you may not use 'visoin'; did you mean 'vision'?"
        in seen(fresh)
    )


def test_a_partition_that_does_not_exist(fresh):
    edit_profile(fresh, "slurm_partition: cpus")
    assert (
        "slurm/config.yaml: default-resources: slurm_partition: this cluster has no partition 'cpus'; "
        "did you mean 'cpu'?" in seen(fresh)
    )


def test_more_gpus_than_a_node_has(fresh):
    settings = tiny.challenge()
    settings["jobs"]["train"]["gpus"] = 8
    tiny.configure(fresh.folder, settings)
    assert (
        "tiny.yaml: jobs: train: gpus: 8, but no node of partition 'cpu' has more than 2 fake GPUs"
        in seen(fresh)
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ({"probe": {"gpus": 3}}, "jobs: probe: gpus: 3, but no node"),
        (
            {"dump": {"gpu_model": "v100"}},
            "jobs: dump: gpus: 1, but no node of partition 'cpu' has more than 0 v100",
        ),
        ({"train": {"nodes": 40}}, "jobs: train: nodes: 40, but partition 'cpu' has 4"),
        ({"scores": {"memory_gb": 9000}}, "jobs: scores: memory_gb: 9000, but no node"),
    ],
)
def test_what_no_node_has_is_said_of_every_kind_of_job(fresh, kind, words):
    settings = tiny.challenge()
    for name, keys in kind.items():
        settings["jobs"][name] = {**settings["jobs"].get(name, {}), **keys}
    tiny.configure(fresh.folder, settings)
    assert words in seen(fresh)


@pytest.mark.slow
def test_the_right_names_are_taken(fresh):
    """CPU jobs and GPU jobs go to their partitions, under the account."""
    for line in ("slurm_account: vision", "slurm_partition: short", "gpu_partition: gpu"):
        edit_profile(fresh, line)
    settings = tiny.challenge()
    settings["jobs"]["probe"] = {"hours": 0.1}
    tiny.configure(fresh.folder, settings)
    fresh.run("models")
    columns = "Partition,Account,State"
    assert fresh.accounted("manifest", columns) == [["short", "vision", "COMPLETED"]]
    assert fresh.accounted("train", columns) == [["gpu", "vision", "COMPLETED"]]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(fresh):
    results = fresh.folder / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(results)], check=True)
    try:
        settings = tiny.challenge()
        settings["jobs"]["train"]["restarts"] = 0
        tiny.configure(fresh.folder, settings)
        done = fresh.try_run("models")
        assert done.returncode != 0
        table = done.stdout.split("failed for good:")[1]
        assert "train one: " in table and "the disk is full" in table and "Free some space" in table
    finally:
        subprocess.run(["umount", str(results)], check=True)


def test_a_job_that_needs_more_memory_gets_it(fresh):
    """The second attempt twice, the third three times of what the challenge file says."""
    settings = tiny.challenge()
    settings["jobs"]["train"]["memory_gb"] = 0.35
    tiny.configure(fresh.folder, settings)
    fresh.run("models")
    rows = fresh.accounted("train", "ReqMem,State")
    assert [memory for memory, _ in rows] == ["350M", "700M", "1050M"][: len(rows)] and len(rows) > 1
    assert rows[-1][1] == "COMPLETED"
    logs = list(fresh.folder.glob(".snakemake/slurm_logs/rule_train/*/*.log"))  # of jobs that failed
    assert logs and all("exceeded memory limit" in log.read_text() for log in logs)


@pytest.mark.slow
def test_jobs_that_fail_for_good_leave_others_running_and_stand_in_a_table(local, tmp_path):
    """A dump never gets enough memory; a training beside it meets its time limit without having been warned."""
    project = local.copy(tmp_path / "clone")
    settings = tiny.challenge()
    settings["streams"]["two"] = tiny.challenge(train={"epochs": 100, "log_every_steps": 1})["streams"]["one"]
    settings["jobs"]["train"]["restarts"] = 0
    settings["jobs"]["dump"] |= {"restarts": 0, "memory_gb": 0.05}
    tiny.configure(project.folder, settings)
    (project.results / "streams/one/features/test/0000.h5").unlink()
    process = project.start("--set-resources", "train:slurm_extra='--no-kill'")
    job = project.trained("two")
    project.wait(
        lambda: project.states("dump")[-1:] in (["FAILED"], ["OUT_OF_MEMORY"]),
        what="the dump to run out of memory",
    )
    project.stop(job)  # until its time is up
    project.slurm("scontrol", "update", f"jobid={job}", "timelimit=1")
    output = project.end_of(process, code=1)
    table = output.split("2 failed for good:")[1]
    assert "dump one test 0000: needed more memory: raise jobs: dump: memory_gb" in table.replace("  ", " ")
    assert "train two: its time was up: raise jobs: train: hours" in table
    assert f"Slurm job {job}" in table and "results/tiny/logs/train/two.log" in table
    project.clear()


def test_the_doctor_says_what_the_cluster_has(fresh):
    done = subprocess.run(
        ["python", "-m", "lgdnet", "doctor", "tiny.yaml", "--test-job"],
        cwd=fresh.folder, env=fresh.environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok     partition cpu*" in done.stdout and "gpu:fake:2" in done.stdout
    assert (
        "accounts you may use: root, vision" in done.stdout.replace(user(), "root")
        and "a test job ran on" in done.stdout
    )
