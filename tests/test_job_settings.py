"""What jobs ask of a cluster, from the challenge file."""

import pytest

from lgdnet.errors import InputError
from lgdnet.launch import srun_options
from lgdnet.settings import SettingsError, challenge_of
from lgdnet.slurm import end_left_over, given_from

CHALLENGE = {
    "challenge": "c",
    "dataset": {"annotations": {"train": "t.csv", "validation": "v.csv"}},
    "streams": {"one": {}},
}


def jobs(**kinds):
    return challenge_of({**CHALLENGE, "jobs": kinds}, source="c.yaml").jobs


def test_a_key_of_one_kind_keeps_the_other_defaults_of_that_kind():
    train = jobs(train={"gpus": 8}).train
    assert (train.gpus, train.memory_gb, train.restarts) == (8, 32, 5)
    assert jobs(train={"gpus": 8}).dump == jobs().dump


def test_an_unknown_key_names_its_nearest_neighbour():
    with pytest.raises(SettingsError, match=r"jobs: train: unknown key 'gpu'; did you mean 'gpus'\?"):
        jobs(train={"gpu": 8})


def test_only_training_spans_nodes():
    assert jobs(train={"nodes": 2}).train.nodes == 2
    with pytest.raises(SettingsError, match="dump: nodes: only train runs on several nodes; cut the work"):
        jobs(dump={"nodes": 2})


def test_a_job_step_has_one_task_on_every_node(monkeypatch):
    answers = {"--jobs=7": "2 16\n", "--jobs=8": "1 16\n"}
    monkeypatch.setattr("lgdnet.launch.ask", lambda *command: answers.get(command[2]))
    assert srun_options({}) == srun_options({"SLURM_JOB_ID": "8"}) == []
    assert srun_options({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_NODES": "1"}) == []  # signals reach it as it is
    with pytest.raises(InputError, match="squeue does not say how many nodes job 9 has"):
        srun_options({"SLURM_JOB_ID": "9"})
    options = srun_options({"SLURM_JOB_ID": "7"})
    assert {"--overlap", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=8"} <= set(
        options
    )


def test_left_over_jobs_that_do_not_end_are_named(monkeypatch):
    monkeypatch.setattr("lgdnet.slurm.shutil.which", lambda name: name)
    asked = []
    monkeypatch.setattr("lgdnet.slurm.ask", lambda *command: asked.append(command) or "5\n11\n99\n")
    with pytest.raises(InputError, match=r"still in the queue after 0 s: 5 11\. End them with scancel"):
        end_left_over(["11", "5", "12", "not a job"], patience_sec=0)
    assert ("scancel", "5", "11") in asked


def test_a_queue_that_does_not_answer_stops_the_start(monkeypatch):
    monkeypatch.setattr("lgdnet.slurm.shutil.which", lambda name: name)
    monkeypatch.setattr("lgdnet.slurm.ask", lambda *command: None)
    with pytest.raises(InputError, match="squeue does not answer"):
        end_left_over(["11"])


def test_jobs_of_a_folder_are_known_by_their_rules(monkeypatch):
    listed = (
        "7|/a|rule_train_wildcards_one\n8_1|/a|rule_extract_flow\n9|/b|rule_train\n10|/a|my own\n11|/a|\n"
    )
    monkeypatch.setattr("lgdnet.slurm.ask", lambda *command: listed)
    assert given_from("/a") == {"7": "train", "8_1": "extract_flow"}
