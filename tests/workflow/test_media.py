"""The optional stages around the videos: probing in several jobs, transcoding, the frame cache."""

import copy
import csv

import pytest

from tests.workflow.conftest import TINY, Workspace

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Workspace:
    """The tiny challenge, probed in two jobs, its videos transcoded, its frames cached."""
    from lgdnet.stages import sample

    workspace = Workspace(tmp_path_factory.mktemp("prepared"))
    sample.run(workspace.folder / "sample", videos_per_class={"train": 2, "validation": 1, "test": 1})
    challenge = copy.deepcopy(TINY)
    challenge["manifest"] = {**challenge.get("manifest", {}), "jobs": 2}
    challenge["media"] = {"enabled": True, "short_side": 64}
    challenge["cache"] = {"short_side": 48}
    name = next(iter(challenge["streams"]))
    challenge["streams"] = {name: challenge["streams"][name]}
    workspace.configure(challenge)
    done = workspace.snakemake("--printshellcmds", "leaderboard")
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


def test_streams_read_what_was_transcoded_and_cached(prepared):
    rows = list(csv.DictReader((prepared.results / "leaderboard.csv").open()))
    assert len(rows) == 1
    train = list(csv.DictReader((prepared.results / "media/train.csv").open()))
    assert train and all(int(row["keyframe_interval"]) <= 16 and row["backend"] == "seek" for row in train)
    ids = [row["video_id"] for row in csv.DictReader((prepared.results / "manifest/train.csv").open())]
    assert [row["video_id"] for row in train] == ids
    assert list((prepared.results / "cache/train").glob("*.h5"))
    assert len(list((prepared.results / "probes").glob("*.jsonl"))) == 2


def test_nothing_is_left_to_do(prepared):
    assert prepared.planned("leaderboard") == {}


def test_another_short_side_transcodes_again_and_what_follows(prepared):
    path = prepared.folder / "challenge.yaml"
    before = path.read_text()
    try:
        path.write_text(
            before.replace("short_side: 64", "short_side: 56", 1).replace(
                '"short_side": 64', '"short_side": 56', 1
            )
        )
        assert path.read_text() != before
        planned = prepared.planned("leaderboard")
    finally:
        path.write_text(before)
    assert "manifest" not in planned and "probe" not in planned
    assert {"transcode", "media_manifest", "cache_shard", "train"} <= set(planned)
