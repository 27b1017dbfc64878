"""A copy of the project in which everything exists that the pages speak of, at a size that takes seconds.

One tiny challenge is run by Snakemake, once for all test processes; each test works in a copy of what it left.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.docs.pages import ROOT, pages
from tests.once import common_folder, made_once

NOT_COPIED = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".snakemake",
    "results",
    "data",
    "try",
    "__pycache__",
    ".*_cache",
    "*.egg-info",
    "node_modules",
)
SLURM = {"sinfo", "squeue", "sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "srun", "salloc", "sattach"}
# No sound, a short one, a cut one, ... lead each split, so two of a class leave enough.
VIDEOS_PER_CLASS = {"train": 2, "validation": 2, "test": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Help last: two processes that begin with tests of this folder would both wait until the project is prepared."""
    items.sort(key=lambda item: "tests/docs/test_help" in item.path.as_posix())


@dataclass(frozen=True)
class Project:
    """A working copy of the project."""

    folder: Path

    def environment(self, *, one_thread: bool = True) -> dict[str, str]:
        """`python` and `lgdnet` are those of the environment."""
        env = os.environ | {
            "PATH": f"{self.folder}/.venv/bin:{self.folder.parent}/programs",
            "PYTHONPATH": str(self.folder),  # the package of this copy, as its own environment would have
        }
        if not one_thread:
            return {key: value for key, value in env.items() if key != "OMP_NUM_THREADS"}
        return env | {"OMP_NUM_THREADS": "1"}

    def run(
        self, command: str, *, timeout_sec: int = 1500, one_thread: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command as a reader types it, in bash."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment(one_thread=one_thread),
            capture_output=True,
            text=True,
            timeout=timeout_sec,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def must(self, command: str) -> None:
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Project:
    """The project with a finished tiny sample challenge, the reader's own videos, and files of other tools."""
    folder = made_once(common_folder(tmp_path_factory), "prepared", lambda folder: prepare(folder / "lgdnet"))
    return Project(folder / "lgdnet")


@pytest.fixture
def project(prepared, tmp_path) -> Project:
    """A copy that a test may change."""
    shutil.copytree(prepared.folder, tmp_path / "lgdnet", symlinks=True)
    (tmp_path / "programs").symlink_to(prepared.folder.parent / "programs")
    return Project(tmp_path / "lgdnet")


def prepare(folder: Path) -> None:
    from lgdnet.stages import sample

    shutil.copytree(ROOT, folder, ignore=NOT_COPIED, symlinks=True)
    link_environment(folder / ".venv")
    link_programs(folder.parent / "programs")  # not among the files that `make format` writes
    sample.run(folder / "data/sample", videos_per_class=VIDEOS_PER_CLASS)
    (folder / "config.yaml").write_text(smaller((folder / "config.yaml").read_text()))
    project = Project(folder)
    project.must("snakemake")
    own_videos(folder)
    for page in pages():
        for name, text in page.written_files().items():
            if name.endswith(".yaml"):
                (folder / name).write_text(
                    text.replace("epochs: 20", "epochs: 1")
                )  # trained for a moment only
    other_tools(project)


def link_environment(venv: Path) -> None:
    """The environment of the tests under the project's own name; `make` finds it installed."""
    venv.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != "installed":
            (venv / entry.name).symlink_to(entry)
    (venv / "installed").touch()


def link_programs(folder: Path) -> None:
    """Every program of this machine but Slurm's: half a Slurm, installed and not running, is a fault of its own."""
    folder.mkdir(exist_ok=True)
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).iterdir() if Path(place).is_dir() else []:
            link = folder / program.name
            if program.name not in SLURM:
                link.unlink(missing_ok=True)
                link.symlink_to(program)


def smaller(config: str) -> str:
    """The default challenge with everything it has, trained for a moment only."""
    challenge = yaml.safe_load(config)
    for stream in [challenge["stream_defaults"], *challenge["streams"].values()]:
        stream["train"] = stream.get("train", {}) | {"epochs": 1, "clips_per_video": 1}
    challenge["stream_defaults"] |= {"width": 4, "short_side": 36, "crop": 32}
    challenge["stream_defaults"]["dump"] = {"num_clips": 2}
    challenge["streams"]["flow128"]["crop"] = 32
    for block in (challenge["stream_defaults"]["aggregation"], challenge["joint"]["together"]):
        block |= {"epochs": 2, "width": 8}
    challenge["manifest"] = {"max_rejected": 0.5}  # the sample's broken videos are many among few
    return yaml.safe_dump(challenge, sort_keys=False)


def own_videos(folder: Path) -> None:
    """`mine/` as the quick start describes it: labelled folders, a list; challenge files are written as the pages say."""
    rows = []
    for split in ("train", "validation"):
        lists = csv.DictReader((folder / f"data/sample/{split}.csv").open())
        healthy = [row for row in lists if "disc" in row["label"] or "bell" in row["label"]]
        for number, row in enumerate(healthy):
            label = "cooking" if "disc" in row["label"] else "sawing"
            video = folder / f"mine/videos/{label}/{split}{number}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sample_video(folder, split, row["youtube_id"]), video)
            rows.append([video.stem, f"{label}/{video.name}", label, split])
            for again in (f"named/{split}/{label}__{video.name}", f"by-folder/{split}/{label}/{video.name}"):
                (folder / "mine" / again).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(video, folder / "mine" / again)
    with (folder / "mine/videos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["video_id", "path", "label", "split"], *rows])


def sample_video(folder: Path, split: str, youtube_id: str) -> Path:
    return next((folder / f"data/sample/videos/{split}").glob(f"{youtube_id}_*.mp4"))


def other_tools(project: Project) -> None:
    """A video from anywhere, scores of another tool, a submission, the official truth, tables of three folds."""
    folder, results = project.folder, project.folder / "results/sample"
    rows = list(csv.DictReader((results / "manifest/validation.csv").open()))
    shutil.copy(folder / "data/sample/videos" / rows[-1]["path"], folder / "video.mp4")
    classes = (results / "manifest/classes.txt").read_text().split("\n")[:-1]
    (folder / "classes.txt").write_text("\n".join(classes) + "\n")
    scores = np.random.default_rng(0).dirichlet(np.ones(len(classes)), size=len(rows))
    np.savez(folder / "scores.npz", scores=scores, names=np.array([row["video_id"] for row in rows]))
    project.must(
        "lgdnet submission results/sample/fusions/ensemble/validation.h5"
        " --manifest results/sample/manifest/validation.csv --out submission.json"
    )
    for fold in (1, 2, 3):
        (folder / f"results/ucf101-fold{fold}").mkdir()
        shutil.copy(results / "leaderboard.csv", folder / f"results/ucf101-fold{fold}/leaderboard.csv")
    truth = {
        row["video_id"]: {"subset": "validation", "annotations": [{"label": row["label"]}]} for row in rows
    }
    (folder / "kinetics_val.json").write_text(json.dumps({"database": truth, "taxonomy": [], "version": ""}))
