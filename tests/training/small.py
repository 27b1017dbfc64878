"""A stream so small that it trains in a second, and videos to train it on: a class is a direction of brightness."""

import json
from pathlib import Path

import av
import numpy as np
import pandas as pd
import torch

from lgdnet.manifest import write_classes, write_manifest
from lgdnet.settings import StreamSettings
from lgdnet.settings.reading import check

NUM_VIDEOS = 12
SMALL = {
    "backbone": "lgd-p3d-resnet18",
    "width": 4,
    "short_side": 32,
    "crop": 32,
    "clip_length": 4,
    "train": {
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 0.01,
        "warmup_epochs": 0.5,
        "log_every_steps": 2,
    },
}


def make_videos(root: Path) -> None:
    """Twelve videos of eight frames, their manifests and a challenge file."""
    torch.set_num_threads(1)
    rows = []
    for number in range(NUM_VIDEOS):
        path = root / f"v{number}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width = stream.height = 32
            for frame in range(8):
                picture = np.full((32, 32, 3), 20 + 20 * (frame if number % 2 else 7 - frame), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        rows.append(
            {
                "video_id": f"v{number}", "path": path.name, "label": "up" if number % 2 else "down",
                "class_index": number % 2, "num_frames": 8, "fps": 25.0, "width": 32, "height": 32, "backend": "pyav",
            }
        )  # fmt: skip
    manifest = root / "results" / "tiny" / "manifest"
    write_manifest(manifest / "train.csv", pd.DataFrame(rows))
    write_manifest(manifest / "validation.csv", pd.DataFrame(rows[:5]))
    write_classes(manifest / "classes.txt", ["down", "up"])
    tiny = {
        "challenge": "tiny",
        "dataset": {
            "video_root": str(root),
            "annotations": {"train": "train.csv", "validation": "validation.csv"},
        },
        "streams": {"frame4": SMALL},
    }
    (root / "tiny.yaml").write_text(json.dumps(tiny))


def settings(**changes) -> StreamSettings:
    return check(
        StreamSettings,
        {**SMALL, **changes, "train": {**SMALL["train"], **changes.get("train", {})}},
        source="test",
    )
