"""What a change reruns, and what it does not."""

import copy
import csv

import pytest

from tests.workflow.conftest import TINY

pytestmark = pytest.mark.workflow

DUMPS = 3  # of one stream: two shards of validation, one of test
AFTER_ONE_STREAM = {"aggregate": 1, "evaluate": 1, "streams_table": 1, "cost": 1, "report": 1, "all": 1}
# The last stream's scores are submitted, so its test split is scored too.
AFTER_LAST_STREAM = {**AFTER_ONE_STREAM, "aggregate": 2, "submission": 1}
NEW_SETTINGS = {"record_settings": 1}  # another challenge file is written down


def changed(**streams) -> dict:
    challenge = copy.deepcopy(TINY)
    challenge["streams"].update(streams)
    return challenge


def test_a_finished_challenge_has_a_leaderboard_row_for_each_stream(finished):
    rows = list(csv.DictReader((finished.results / "leaderboard.csv").open()))
    assert len(rows) == 2
    assert list(rows[0])[:6] == ["Input", "Backbone", "Clip", "Aggregation", "Top1", "Top5"]


def test_a_finished_challenge_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_a_comment_in_the_challenge_file_reruns_nothing(workspace):
    path = workspace.folder / "challenge.yaml"
    path.write_text("# a comment\n" + path.read_text())
    assert workspace.planned() == {}


def test_a_default_written_out_reruns_nothing(workspace):
    workspace.configure(changed(one={"dump": {"num_crops": 1}, "clip_length": 16}))
    assert workspace.planned() == {}


def test_a_changed_learning_rate_reruns_that_stream_from_its_training_on(workspace):
    workspace.configure(changed(two={"train": {"learning_rate": 0.1}}))
    assert workspace.planned() == {"train": 1, "dump": DUMPS, **AFTER_LAST_STREAM, **NEW_SETTINGS}


def test_changed_dump_settings_retrain_nothing(workspace):
    workspace.configure(changed(two={**TINY["streams"]["two"], "dump": {"num_clips": 3}}))
    assert workspace.planned() == {"dump": DUMPS, **AFTER_LAST_STREAM, **NEW_SETTINGS}


def test_a_deleted_output_reruns_its_job_and_what_follows(workspace):
    (workspace.results / "streams/one/features/validation/0001.h5").unlink()
    assert workspace.planned() == {"dump": 1, **AFTER_ONE_STREAM}


def test_a_stage_can_be_forced(workspace):
    planned = workspace.planned("leaderboard", "--forcerun", "dump")
    assert planned == {"dump": 4, "aggregate": 2, "evaluate": 1, "leaderboard": 1}


def test_a_new_stream_runs_only_its_own_jobs(workspace):
    workspace.configure(changed(three={"modality": "frame", "width": 8}))
    assert workspace.planned() == {"train": 1, "dump": DUMPS, **AFTER_LAST_STREAM, **NEW_SETTINGS}


def test_a_stream_that_starts_from_another_waits_for_it(workspace):
    workspace.configure(changed(three={"init": "four"}, four={"width": 8}))
    assert workspace.planned() == {
        "train": 2,
        "dump": 2 * DUMPS,
        **AFTER_LAST_STREAM,
        **NEW_SETTINGS,
        "aggregate": 3,
    }


@pytest.mark.parametrize("target", ["manifest", "models", "features", "scores", "leaderboard", "report"])
def test_every_target_named_in_the_readme_exists(finished, target):
    assert set(finished.planned(target)) <= {
        target
    }  # the target itself has no file, and nothing else is left


def test_deleting_the_checkpoints_of_a_finished_stream_retrains_nothing(workspace):
    for path in (workspace.results / "streams/one").rglob("checkpoints/*"):
        path.unlink()
    assert workspace.planned() == {}


@pytest.mark.parametrize("name", ["per_class.csv", "confusions.csv", "streams.csv", "submission.json"])
def test_a_deleted_table_is_made_again(workspace, name):
    (workspace.results / name).unlink()
    planned = workspace.planned()
    assert planned and not {"train", "dump", "aggregate"} & set(planned)


def test_every_declared_output_is_remade_when_it_is_deleted(workspace):
    """All files of a finished challenge but logs, benchmarks and what lies beside the outputs undeclared."""
    undeclared = {"logs", "benchmarks", "checkpoints", "tensorboard"}
    beside = {"history.csv", "probes.jsonl", "duplicates.csv", ".at-work"}
    files = [
        path
        for path in sorted(workspace.results.rglob("*"))
        if path.is_file() and not undeclared & set(path.parts) and path.name not in beside
    ]
    assert len(files) > 15
    one_of_each_kind = {(path.parent.name, path.suffix, path.name[:4]): path for path in files}
    for path in one_of_each_kind.values():
        moved = path.rename(path.with_name(path.name + ".moved"))
        assert workspace.planned(), path
        moved.rename(path)
