"""The three official folds as one workflow."""

import subprocess
import sys

import pytest

from tests.workflow.conftest import ROOT

pytestmark = pytest.mark.workflow

CHALLENGE = """
challenge: tiny
dataset:
  format: ucf101
  video_root: videos
  annotations: {train: "trainlist0{fold}.txt", validation: "testlist0{fold}.txt"}
streams:
  frame16: {width: 4}
"""


def test_every_fold_is_planned_with_its_own_lists_and_one_table_joins_them(tmp_path):
    (tmp_path / "videos").mkdir()
    for fold in (1, 2, 3):
        for name in ("trainlist", "testlist"):
            (tmp_path / f"{name}0{fold}.txt").touch()
    (tmp_path / "challenge.yaml").write_text(CHALLENGE)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "workflow/folds.smk"),
        "--dry-run",
    ]
    command += [
        "--workflow-profile",
        str(ROOT / "profiles/default"),
        "--cores",
        "1",
        "--directory",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, "--configfile", str(tmp_path / "challenge.yaml")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for fold in (1, 2, 3):
        assert f"fold{fold}_train" in output and f"results/tiny-fold{fold}/leaderboard.csv" in output
        assert f"trainlist0{fold}.txt" in output
    assert "results/tiny/folds.csv" in output
