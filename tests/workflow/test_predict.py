"""A finished challenge on its own test clips says what the workflow said of them: straight, and from a pack elsewhere."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lgdnet.manifest import Manifest, read_manifest
from lgdnet.prediction.finished import Finished
from lgdnet.prediction.opening import opened
from lgdnet.prediction.predictor import Predictor
from lgdnet.scores import read_scores
from lgdnet.settings import Challenge, row_of
from tests.workflow.conftest import ROOT, TINY, Workspace

pytestmark = pytest.mark.workflow

SAMPLE = ROOT / "results/sample"
STEP = 5  # every so many of the test clips
TOLERANCE = 1e-5  # of scores
EVERYTHING = {
    **TINY,
    "flow": {"short_side": 32, "bound": 8},
    "stream_defaults": {
        **TINY["stream_defaults"],
        "aggregate": ["average_pool", "tcp"],
        "aggregation": {"epochs": 1},
    },
    "streams": {
        "frame": {},
        "flow": {"modality": "flow"},
        "sound": {"modality": "audio", "backbone": "xception", "segment_sec": 0.64},
    },
    "joint": {"together": {"streams": ["frame", "flow", "sound"], "epochs": 1}},
    "fusions": {
        "mean": {"members": ["frame/average_pool", "flow/average_pool"], "weights": [2, 1]},
        "all": {
            "members": ["mean", "frame/tcp", "sound/tcp", "together"],
            "method": "stack",
            "calibrate": True,
        },
    },
}


@dataclass(frozen=True)
class Done:
    """A finished challenge and the test clips that it has scored."""

    results: Path
    video_root: Path

    @property
    def clips(self) -> Manifest:
        return read_manifest(self.results / "manifest/test.csv")

    def some(self, step: int) -> list[tuple[str, Path]]:
        """Id and file of every `step`-th test clip."""
        clips = self.clips
        return [
            (clips.video_ids[row], self.video_root / clips.paths[row]) for row in range(0, len(clips), step)
        ]

    def scores(self, finished: Finished, row: str, video_ids: list[str]) -> np.ndarray:
        """(n, K) scores that the workflow wrote; NaN where it wrote down that there are none."""
        found = read_scores(self.results / row_of(finished.challenge, row).name / "test.h5")
        known = dict(zip(found.video_ids.tolist(), found.probabilities(), strict=True))
        return np.stack([known.get(video_id, np.full(len(found.classes), np.nan)) for video_id in video_ids])


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Done:
    """The demo where it has been made (CI makes it first), else a tiny challenge with everything in it."""
    if (SAMPLE / "challenge.json").is_file() and (SAMPLE / "submission.json").is_file():
        return Done(SAMPLE, ROOT / "data/sample/videos")
    from lgdnet.stages import sample

    workspace = Workspace(tmp_path_factory.mktemp("predict"))
    sample.run(workspace.folder / "sample", videos_per_class={"train": 2, "validation": 2, "test": 1})
    workspace.configure(EVERYTHING)
    made = workspace.snakemake()
    assert made.returncode == 0, made.stdout + made.stderr
    return Done(workspace.results, workspace.folder / "sample/videos")


def test_predict_says_what_the_workflow_said_of_the_test_clips(done):
    clips = done.some(STEP)
    ids = [video_id for video_id, _ in clips]
    with opened(done.results) as finished, Predictor(finished) as predictor:
        found = [predictor.predict(path, video_id) for video_id, path in clips]
        expected = done.scores(finished, predictor.row, ids)
        assert np.abs(np.exp([one.log_scores for one in found]) - expected).max() < TOLERANCE
        for leaf in finished.leaves(predictor.row):
            of_leaf = done.scores(finished, leaf, ids)
            for one, scores in zip(found, of_leaf, strict=True):
                assert (leaf in one.silent) == np.isnan(scores).any(), (leaf, one.video_id)
                if leaf in one.members:
                    assert np.abs(np.exp(one.members[leaf]) - scores).max() < TOLERANCE, (leaf, one.video_id)
    assert any(one.silent for one in found) and not all(one.silent for one in found)


def test_a_pack_says_the_same_in_an_empty_folder(done, tmp_path):
    pack, elsewhere = tmp_path / "challenge.lgdnet", tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = lgdnet("pack", str(done.results), "--out", str(pack), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    clips = done.some(2 * STEP)
    files = [str(path) for _, path in clips]
    ran = lgdnet("predict", *files, "--challenge", str(pack), "--json", "--top", "1000", cwd=elsewhere)
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [answer["video_id"] for answer in answers] == [video_id for video_id, _ in clips]
    with opened(pack) as finished:
        classes, row = finished.classes(), finished.default_row()
        expected = done.scores(finished, row, [video_id for video_id, _ in clips])
    for answer, scores in zip(answers, expected, strict=True):
        said = {one["label"]: one["score"] for one in answer["top"]}
        assert np.abs(np.array([said[name] for name in classes]) - scores).max() < TOLERANCE
        assert {"check", "decode", "aggregation", "fusion"} <= set(answer["seconds"])
    assert list(elsewhere.iterdir()) == []


def lgdnet(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line, as a user types it."""
    return subprocess.run(
        [sys.executable, "-m", "lgdnet", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.long
@pytest.mark.skipif("LGDNET_FINISHED" not in os.environ, reason="set LGDNET_FINISHED to results/<challenge>")
def test_a_challenge_of_real_videos_that_was_run_by_hand():
    """`LGDNET_FINISHED=results/av-digits LGDNET_VIDEOS=/path/to/its/videos`; every clip of its evaluated split.

    Each leaf of the default row, and one fusion of given weights: of fitted ones the workflow cross-fits this split.
    """
    results = Path(os.environ["LGDNET_FINISHED"]).resolve()
    with opened(results) as finished:
        challenge = finished.challenge
        split = challenge.evaluate.split
        clips = read_manifest(results / f"manifest/{split}.csv")
        root = Path(os.environ.get("LGDNET_VIDEOS", challenge.data_path(challenge.dataset.video_root)))
        plain = [row for row, fusion in challenge.fusions.items() if fusion.method == "given"][:1]
        furthest: dict[str, float] = {}
        for row in [finished.default_row(), *plain]:
            leaves = finished.leaves(row)
            expected = {name: scores_of(results, challenge, name, split) for name in [*leaves, *plain]}
            with Predictor(finished, row) as predictor:
                for video_id, path in zip(clips.video_ids, clips.paths, strict=True):
                    found = predictor.predict(root / path, str(video_id))
                    said = found.members | ({row: found.log_scores} if row in plain else {})
                    for name, log_scores in said.items():
                        apart = np.abs(np.exp(log_scores) - expected[name][str(video_id)]).max()
                        furthest[name] = max(furthest.get(name, 0.0), float(apart))
        print(f"{len(clips)} clips; furthest apart:", furthest)
        assert max(furthest.values()) < TOLERANCE, furthest


def scores_of(results: Path, challenge: Challenge, name: str, split: str) -> dict[str, np.ndarray]:
    """(K,) scores of each video, as the workflow wrote them."""
    found = read_scores(results / row_of(challenge, name).name / f"{split}.h5")
    return dict(zip(found.video_ids.tolist(), found.probabilities(), strict=True))
