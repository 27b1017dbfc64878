"""Jobs of other shapes: one training on two nodes, one shard after the other as a job array."""

import shutil

from tests.slurm import tiny


def test_one_training_on_two_nodes(finished, tmp_path):
    """One process per node, joined by torchrun, on the CPUs of nodes whose GPUs are fake."""
    project = finished.copy(tmp_path / "clone")
    settings = tiny.challenge(train={"learning_rate": 0.01})
    settings["jobs"]["train"] |= {"nodes": 2, "gpus": 1}
    tiny.configure(project.folder, settings)
    shutil.rmtree(project.results / "streams/one")
    project.run("models")
    [(tres, state)] = project.accounted("train", "AllocTRES,State")
    assert state == "COMPLETED" and {"node=2", "gres/gpu=2"} <= set(tres.split(","))
    log = (project.results / "logs/train/one.log").read_text()
    assert "batch 2 (2 processes x 1 parts)" in log
    assert (project.results / "streams/one/model.safetensors").exists()


def test_shards_as_a_job_array(finished, tmp_path):
    project = finished.copy(tmp_path / "clone")
    for split in ("validation", "test"):
        (project.results / f"streams/one/features/{split}/0000.h5").unlink()
    project.run("--slurm-array-jobs", "dump")
    assert (project.results / "leaderboard.csv").read_bytes() == (
        finished.results / "leaderboard.csv"
    ).read_bytes()
    names = [row[0] for row in project.accounted("", "JobID")]
    assert sum("_" in name for name in names) == 2
