"""A flow stream through training and dump: its files must be those that the settings, and later the model, ask for."""

import numpy as np
import pytest
import torch

from lgdnet.flow import FlowError
from lgdnet.scores import read_features
from lgdnet.settings import DumpSettings, FlowSettings, StreamSettings
from lgdnet.stages import dump, train
from lgdnet.stages import flow as flow_stage
from lgdnet.streams import read_stream
from tests.flow.pictures import small_set

FLOW = FlowSettings(short_side=32, bound=8)
STREAM = StreamSettings.model_validate(
    {
        "modality": "flow",
        "backbone": "lgd-p3d-resnet18",
        "width": 4,
        "clip_length": 8,
        "short_side": 32,
        "crop": 32,
        "train": {"epochs": 1, "batch_size": 2, "dropout": 0.7},
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four short videos, their flow in two recipes, and a trained flow stream."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("stream")
    small_set(folder, (10, 5, 12, 9))
    (folder / "classes.txt").write_text("x\ny\n")
    common = {"manifest": folder / "m.csv", "video_root": folder}
    flow_stage.run(**common, out=folder / "flow.h5", settings=FLOW)
    flow_stage.run(**common, out=folder / "other.h5", settings=FlowSettings(short_side=32, bound=20))
    train_stream(folder, "stored", STREAM, [folder / "flow.h5"])
    return folder


def train_stream(folder, name, settings, stored, flow_settings=FLOW):
    train.run(
        manifest=folder / "m.csv",
        validation=folder / "m.csv",
        classes=folder / "classes.txt",
        video_root=folder,
        out=folder / name / "model.safetensors",
        settings=settings,
        stored=stored,
        stored_validation=stored,
        flow_settings=flow_settings,
        num_workers=0,
        device="cpu",
    )


def dumped(folder, name, stored):
    """Logits of every view: (videos, V, K)"""
    out = folder / name / f"{len(stored)}.h5"
    dump.run(
        model=folder / name / "model.safetensors",
        manifest=folder / "m.csv",
        video_root=folder,
        out=out,
        stored=stored,
        settings=DumpSettings(num_clips=2),
    )
    features = read_features([out])
    return np.stack([features.read("logits", row) for row in range(4)])


def test_a_flow_stream_trains_and_remembers_how_its_flow_was_made(folder):
    stream = read_stream(folder / "stored/model.safetensors")
    assert stream.recipe is not None
    assert (stream.recipe.algorithm, stream.recipe.bound) == ("dis", 8.0)
    assert np.isfinite(dumped(folder, "stored", [folder / "flow.h5"])).all()


def test_flow_on_the_fly_trains_the_same_network(folder):
    train_stream(folder, "computed", STREAM.model_copy(update={"flow_on_the_fly": True}), [])
    np.testing.assert_array_equal(
        dumped(folder, "computed", []), dumped(folder, "stored", [folder / "flow.h5"])
    )


def test_training_refuses_flow_of_other_settings(folder):
    with pytest.raises(
        FlowError, match=r"other.h5: made with bound 20.0 instead of 8.0, unlike the settings"
    ):
        train_stream(folder, "refused", STREAM, [folder / "other.h5"])


def test_a_dump_refuses_flow_that_the_network_did_not_learn_from(folder):
    with pytest.raises(FlowError, match=r"other.h5: made with bound 20.0 instead of 8.0"):
        dumped(folder, "stored", [folder / "other.h5"])


def test_a_flow_stream_without_files_says_what_to_do(folder):
    with pytest.raises(FlowError, match="--stored"):
        train_stream(folder, "nothing", STREAM, [])
