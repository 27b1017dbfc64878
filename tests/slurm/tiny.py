"""A challenge of two classes and ten videos in a fresh copy of the project, for runs of about a minute."""

import copy
import subprocess
from pathlib import Path

import yaml

from lgdnet.artefact import write_text
from lgdnet.stages import sample

ROOT = Path(__file__).parent.parent.parent

CHALLENGE = {
    "challenge": "tiny",
    "dataset": {
        "format": "kinetics-csv",
        "video_root": "sample/videos",
        "annotations": {split: f"sample/{split}.csv" for split in ("train", "validation", "test")},
    },
    "threads": {"train": 1, "aggregation": 1},
    "jobs": {
        "train": {"memory_gb": 3, "hours": 0.5, "gpus": 2, "gpu_model": "fake"},
        "dump": {"memory_gb": 2, "gpus": 1},
    },
    "streams": {
        "one": {
            "backbone": "lgd-p3d-resnet18",
            "width": 4,
            "short_side": 32,
            "crop": 32,
            "clip_length": 8,
            "train": {"epochs": 1, "batch_size": 2, "trackers": []},
            "dump": {"num_clips": 2},
        }
    },
}


def challenge(**stream: object) -> dict:
    """The challenge, with other settings of its one stream."""
    settings = copy.deepcopy(CHALLENGE)
    for name, value in stream.items():
        block = settings["streams"]["one"]
        block[name] = {**block[name], **value} if isinstance(value, dict) else value
    return settings


def clone(folder: Path) -> Path:
    """The project's files, as git would check them out."""
    folder.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    archive = subprocess.run(
        ["tar", "c", "--null", "-T", "-"], cwd=ROOT, input=listed.stdout, capture_output=True, check=True
    )
    subprocess.run(["tar", "x"], cwd=folder, input=archive.stdout, check=True)
    return folder


def render(folder: Path, *, classes: int = 2, counts: tuple[int, int, int] = (3, 1, 1)) -> None:
    """Sound videos of the sample's first classes, and their lists."""
    splits = dict(zip(("train", "validation", "test"), counts, strict=True))
    videos = sample.plan(0, {split: count + 1 for split, count in splits.items()})
    labels = list(dict.fromkeys(video.label for video in videos))[:classes]
    for split, count in splits.items():
        of_label = [[v for v in videos if v.split == split and v.label == label] for label in labels]
        chosen = [video for group in of_label for video in group[-count:]]
        for video in chosen:
            sample.make(video, folder)
        write_text(folder / f"{split}.csv", sample.list_of(chosen, labelled=split != "test"))


def configure(folder: Path, settings: dict) -> None:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
