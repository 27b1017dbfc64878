"""The sample challenge with few videos, few steps and one shard per split, but with every kind of job that it has."""

import copy
from pathlib import Path

import yaml

from lgdnet.stages import sample
from tests.slurm import tiny

STREAMS = ("frame16", "flow16", "audio")


def challenge() -> dict:
    """`config.yaml`, cut down; what jobs ask for differs from kind to kind, so that none passes for another."""
    settings = yaml.safe_load((tiny.ROOT / "config.yaml").read_text())
    settings["shards"] = {}
    settings["manifest"] = {"max_rejected": 0.5}  # the broken videos of the sample are most of these few
    settings["threads"] = {"train": 2, "flow": 1, "aggregation": 1}
    settings["jobs"] = {
        "probe": {"memory_gb": 2, "hours": 0.5},
        "flow": {"memory_gb": 2.5, "hours": 1},
        "audio": {"memory_gb": 1.5, "hours": 1.5},
        "train": {"memory_gb": 3, "hours": 2, "gpus": 2, "gpu_model": "fake"},
        "dump": {"memory_gb": 3.5, "hours": 2.5, "gpus": 1},
        "aggregation": {"memory_gb": 4, "hours": 3},
        "scores": {"memory_gb": 1, "hours": 3.5},
    }
    defaults = settings["stream_defaults"]
    defaults["width"] = 8
    defaults["train"] |= {"epochs": 1, "clips_per_video": 1, "validate_every_epochs": 1, "trackers": []}
    defaults["dump"]["num_clips"] = 2
    defaults["aggregation"]["epochs"] = 2
    settings["streams"] = {name: copy.deepcopy(settings["streams"][name]) for name in STREAMS}
    settings["streams"]["audio"]["train"]["epochs"] = 1
    settings["streams"]["flow16"]["aggregate"] = ["average_pool"]
    settings["joint"]["together"] |= {"streams": ["frame16", "audio"], "epochs": 2}
    members = ["frame16/average_pool", "flow16/average_pool", "together"]
    settings["fusions"] = {"ensemble": {**settings["fusions"]["ensemble"], "members": members}}
    return settings


def clone(folder: Path) -> Path:
    """A fresh clone whose default challenge is this one, with its videos."""
    tiny.clone(folder)
    sample.run(folder / "data/sample", videos_per_class={"train": 2, "validation": 1, "test": 1})
    (folder / "config.yaml").write_text(yaml.safe_dump(challenge(), sort_keys=False))
    return folder
