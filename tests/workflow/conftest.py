"""A tiny challenge, run once from videos to leaderboard; each test then asks what a change would rerun."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.once import common_folder, made_once

ROOT = Path(__file__).parent.parent.parent

TINY = {
    "challenge": "tiny",
    "dataset": {
        "format": "kinetics-csv",
        "video_root": "sample/videos",
        "annotations": {split: f"sample/{split}.csv" for split in ("train", "validation", "test")},
    },
    "manifest": {"max_rejected": 0.5},
    "shards": {"validation": 2},
    "stream_defaults": {
        "backbone": "lgd-p3d-resnet18",
        "width": 4,
        "short_side": 32,
        "crop": 32,
        "train": {"epochs": 1, "batch_size": 8},
        "dump": {"num_clips": 2},
    },
    "streams": {"one": {}, "two": {"train": {"learning_rate": 0.05}}},
}


@dataclass(frozen=True)
class Workspace:
    """A working directory with videos, a challenge file and results."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results/tiny"

    def configure(self, challenge: dict) -> None:
        (self.folder / "challenge.yaml").write_text(yaml.safe_dump(challenge, sort_keys=False))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
        command += ["--workflow-profile", str(ROOT / "profiles/default"), "--directory", str(self.folder)]
        command += ["--configfile", str(self.folder / "challenge.yaml"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of each rule that a run would start now."""
        done = self.snakemake("--dry-run", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        output = done.stdout + done.stderr
        if "Job stats:" not in output:
            assert "Nothing to be done" in output, output
            return {}
        table = output.split("Job stats:")[1].split("total")[0]
        return {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workspace:
    """The tiny challenge with two streams, from rendered videos to its leaderboard."""
    return Workspace(made_once(common_folder(tmp_path_factory), "finished-tiny", finish))


def finish(folder: Path) -> Workspace:
    """Videos, and the tiny challenge run on them."""
    from lgdnet.stages import sample

    workspace = Workspace(folder)
    sample.run(folder / "sample", videos_per_class={"train": 2, "validation": 1, "test": 1})
    workspace.configure(TINY)
    done = workspace.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace


@pytest.fixture
def workspace(finished, tmp_path) -> Workspace:
    """A copy of the finished challenge, times of change included, that a test may spoil."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Workspace(tmp_path / "copy")
