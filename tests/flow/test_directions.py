"""What flow is for: two classes of the sample challenge that differ in the direction of motion alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lgdnet.manifest import write_manifest
from lgdnet.sample import NUM_FRAMES, render_video
from lgdnet.scores import read_features
from lgdnet.settings import DumpSettings, FlowSettings, StreamSettings
from lgdnet.stages import dump, train
from lgdnet.stages import flow as flow_stage

CLASSES = ("speckles going left", "speckles going right")
FLOW = FlowSettings(short_side=64, bound=8)
VIDEOS_PER_CLASS = {"train": 30, "test": 20}


def render(folder: Path, split: str) -> None:
    """Videos of both classes and their manifest."""
    rows = []
    for i in range(2 * VIDEOS_PER_CLASS[split]):
        label, name = i % 2, f"{split}{i}"
        generator = np.random.default_rng([len(split), i])
        render_video(folder / f"{name}.mp4", CLASSES[label], generator, sound=False)
        rows.append((name, f"{name}.mp4", CLASSES[label], label, NUM_FRAMES, 16.0, 96, 72, name, "pyav"))
    names = [
        "video_id",
        "path",
        "label",
        "class_index",
        "num_frames",
        "fps",
        "width",
        "height",
        "digest",
        "backend",
    ]
    write_manifest(folder / f"{split}.csv", pd.DataFrame(rows, columns=names))


def accuracy(folder: Path, settings: StreamSettings, *, with_flow: bool, num_clips: int) -> float:
    """Of a stream trained here, on the test videos, with the mean over so many clips."""
    stored = {split: [folder / f"{split}.h5"] if with_flow else [] for split in VIDEOS_PER_CLASS}
    model = folder / settings.modality / "model.safetensors"
    train.run(
        manifest=folder / "train.csv",
        validation=folder / "test.csv",
        classes=folder / "classes.txt",
        video_root=folder,
        out=model,
        settings=settings,
        stored=stored["train"],
        stored_validation=stored["test"],
        flow_settings=FLOW,
        num_workers=0,
        device="cpu",
    )
    out = folder / settings.modality / "features.h5"
    dump.run(
        model=model,
        manifest=folder / "test.csv",
        video_root=folder,
        out=out,
        stored=stored["test"],
        settings=DumpSettings(num_clips=num_clips),
    )
    features = read_features([out])
    logits = np.stack([features.read("logits", row).mean(0) for row in range(2 * VIDEOS_PER_CLASS["test"])])
    return float((logits.argmax(1) == np.arange(len(logits)) % 2).mean())


@pytest.mark.slow
def test_flow_tells_left_from_right_and_a_single_frame_does_not(tmp_path):
    torch.set_num_threads(1)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for split in VIDEOS_PER_CLASS:
        render(tmp_path, split)
        flow_stage.run(
            manifest=tmp_path / f"{split}.csv",
            video_root=tmp_path,
            out=tmp_path / f"{split}.h5",
            settings=FLOW,
        )
    shared = {
        "width": 8,
        "short_side": 36,
        "crop": 32,
        "train": {
            "epochs": 6,
            "clips_per_video": 4,
            "batch_size": 16,
            "optimizer": "adamw",
            "learning_rate": 0.002,
            "weight_decay": 0.02,
            "validate_every_epochs": 6,
            "augment": {"area": [0.7, 1.0], "mirror": 0},
        },
    }
    flow = {"modality": "flow", "backbone": "lgd-p3d-resnet18", "clip_length": 8}
    frame = {"modality": "frame", "backbone": "resnet18", "clip_length": 1}
    by_flow = accuracy(tmp_path, StreamSettings.model_validate(shared | flow), with_flow=True, num_clips=3)
    by_frame = accuracy(tmp_path, StreamSettings.model_validate(shared | frame), with_flow=False, num_clips=1)
    print(
        f"direction of motion, {2 * VIDEOS_PER_CLASS['test']} videos: flow {by_flow:.2f}, frame {by_frame:.2f}"
    )
    assert by_flow >= 0.9
    assert by_frame <= 0.7  # chance is 0.5; 40 videos stay below 0.7 in 99 of 100 draws
