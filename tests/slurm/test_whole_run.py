"""`snakemake --profile slurm` in a fresh clone."""

import csv

import pytest

from tests.slurm import tiny

TABLES = ["leaderboard.csv", "per_class.csv", "confusions.csv", "submission.json"]


@pytest.mark.parametrize("name", [*TABLES, "streams/one/model.safetensors"])
def test_the_same_bytes_as_a_local_run(finished, local, name):
    assert (finished.results / name).read_bytes() == (local.results / name).read_bytes()


def test_jobs_asked_for_what_the_challenge_file_says(finished):
    """Read back from Slurm's accounting."""
    asked = "AllocTRES,TimelimitRaw,State"
    [(tres, minutes, state)] = finished.accounted("train", asked)
    assert (minutes, state) == ("30", "COMPLETED")
    assert {"cpu=1", "mem=3000M", "node=1", "gres/gpu=2"} <= set(tres.split(","))
    for tres, minutes, state in finished.accounted("dump", asked):
        assert (minutes, state) == ("240", "COMPLETED")
        assert {"cpu=1", "mem=2000M", "gres/gpu=1"} <= set(tres.split(","))
    [(tres, minutes, state)] = finished.accounted("manifest", asked)
    assert (minutes, state) == ("240", "COMPLETED") and "gres/gpu" not in tres
    assert {"cpu=2", "mem=4000M"} <= set(tres.split(","))


def test_small_jobs_do_not_go_through_the_queue(finished):
    assert len(finished.accounted("")) == 6  # manifest, train, two dumps, two aggregations
    for rule in ("evaluate", "streams_table", "submission"):
        assert finished.accounted(rule) == []


def test_nothing_is_left_to_do(finished):
    assert "Nothing to be done" in finished.run()


def test_one_stage_of_one_stream_runs_again(finished, tmp_path):
    project = finished.copy(tmp_path / "again")
    (project.results / "streams/one/features/validation/0000.h5").unlink()
    project.run()
    assert len(project.accounted("dump")) == 1 and len(project.accounted("")) == 2  # and its aggregation
    same = "leaderboard.csv"
    assert (project.results / same).read_bytes() == (finished.results / same).read_bytes()


def test_another_learning_rate_runs_that_stream_and_no_other(finished, tmp_path):
    project = finished.copy(tmp_path / "rate")
    settings = tiny.challenge()
    settings["streams"]["two"] = tiny.challenge(train={"learning_rate": 0.01})["streams"]["one"]
    tiny.configure(project.folder, settings)
    project.run()
    assert [len(project.accounted(rule)) for rule in ("manifest", "train", "dump", "aggregate")] == [
        0,
        1,
        2,
        2,
    ]
    rows = list(csv.DictReader((project.results / "leaderboard.csv").open()))
    assert [row["row"].split("/")[1] for row in rows] == ["one", "two"]
