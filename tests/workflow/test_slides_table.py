"""The challenge file of 2019 plans every row of the slides' table, in its order."""

import json
import re

import pytest

from lgdnet.settings import fusion_leaves, leaderboard_rows, read_challenge
from tests.workflow.conftest import ROOT, Workspace

# Input, backbone, clip, aggregation of Kinetics-700 validation, as the slides print them.
X, R = "LGD-P3D-Xception", "LGD-P3D-ResNet101"
SHAPES = [(X, "16", "AP"), (X, "128", "AP"), (X, "16", "TCP"), (R, "128", "AP")]
TABLE = [
    *[("Frame", *shape) for shape in SHAPES],
    *[("Flow", *shape) for shape in SHAPES],
    ("Audio", "Xception", "-", "AP"),
    ("Audio", "Xception", "-", "TCP"),
    *[("Two-stream", *shape) for shape in SHAPES],
    *[("+audio", *shape) for shape in SHAPES],
    ("Ensemble", "-", "-", "-"),
    ("Ensemble+", "-", "-", "-"),
]
FILE = ROOT / "challenges/kinetics700-2019.yaml"


def test_the_challenge_file_has_every_row_of_the_slides_in_order():
    rows = leaderboard_rows(read_challenge(FILE))
    assert [(row.input, row.backbone, row.clip, row.aggregation) for row in rows] == TABLE


def test_ensemble_plus_adds_senet_resnext_and_repeated_runs():
    challenge = read_challenge(FILE)
    before, after = (fusion_leaves(challenge, name) for name in ("ensemble", "ensemble+"))
    added = {leaf.split("/")[0] for leaf in set(after) - set(before)}
    assert set(before) < set(after)
    assert added == {"frame-se16", "frame-rx16", "frame-x16-again", "frame-x128-again"}
    assert challenge.streams["frame-x16-again"].train.seed != challenge.streams["frame-x16"].train.seed


@pytest.mark.workflow
def test_a_dry_run_plans_every_row(tmp_path):
    challenge = read_challenge(FILE)
    weights = [stream.weights.path for stream in challenge.streams.values() if stream.weights]
    for file in [*challenge.dataset.annotations.values(), *weights]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "challenge.yaml").write_text(FILE.read_text())
    done = Workspace(tmp_path).snakemake("--dry-run", "leaderboard")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    rows = json.loads(re.search(r"lgdnet evaluate .*?--rows '(\[.*?\])'", output)[1])
    assert [(row["input"], row["backbone"], row["clip"], row["aggregation"]) for row in rows] == TABLE
    assert "lgdnet fuse" in output and "fit-aggregator" in output
