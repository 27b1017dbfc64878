"""Exported networks: written, read back by their own runtime, equal to eager, refused when they are not."""

import json
from pathlib import Path

import pytest
import torch
from random_weights import randomise

from lgdnet.models import ModelError, build_model
from lgdnet.models.export import export
from lgdnet.settings import StreamSettings, parse
from lgdnet.stages import export as stage
from lgdnet.streams import Media, network_of, write_stream

torch.set_num_threads(1)


def small(name: str = "lgd-p3d-resnet18", **choices):
    return randomise(build_model(name, in_channels=3, num_classes=5, width=8, **choices)).eval()


@pytest.mark.slow
def test_a_program_reads_back_with_any_batch_and_says_what_it_is(tmp_path):
    model, out = small(), tmp_path / "model.pt2"
    assert export(model, (3, 8, 32, 32), out, {"classes": '["a", "b"]'}) < 1e-5
    extra = {"lgdnet.json": ""}
    program = torch.export.load(out, extra_files=extra)
    clip = torch.randn(5, 3, 8, 32, 32)
    expected = model(clip)
    about = json.loads(extra["lgdnet.json"])
    assert about["classes"] == '["a", "b"]'
    assert about["outputs"] == [
        "logits",
        "features_local",
        "features_global",
        "logits_local",
        "logits_global",
    ]
    for name, value in zip(about["outputs"], program.module()(clip), strict=True):
        torch.testing.assert_close(value, getattr(expected, name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("lgd-p3d-resnet18", "sum"),
        pytest.param("lgd-p3d-resnet50", "kernel", marks=pytest.mark.long),
        pytest.param("lgd-p3d-xception", "concat", marks=pytest.mark.long),
        ("xception", "local"),
    ],
)
def test_onnx_runtime_computes_the_same_logits(name, head, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, out = small(name, head=head), tmp_path / "model.onnx"
    shape = (3, 40, 56) if name == "xception" else (3, 8, 40, 56)
    assert export(model, shape, out, {"classes": '["a"]'}) < 1e-4
    session = onnxruntime.InferenceSession(out)
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["a"]'
    clip = torch.randn(4, *shape)
    expected = model(clip)
    names = [output.name for output in session.get_outputs()]
    assert names == [name for name, value in expected._asdict().items() if value is not None]
    for name, value in zip(names, session.run(None, {"clip": clip.numpy()}), strict=True):
        reference = getattr(expected, name)
        assert (torch.from_numpy(value) - reference).abs().max() < 1e-4 * reference.abs().max()


def test_a_file_that_differs_from_eager_is_not_written(tmp_path, monkeypatch):
    out = tmp_path / "model.pt2"
    monkeypatch.setattr(
        "lgdnet.models.export.write_program", lambda o, e, other, path, a: path.touch() or o(other)[0] * 1.01
    )
    with pytest.raises(
        ModelError, match=r"model\.pt2: the exported network differs from eager by 1\.0e-02 of the"
    ):
        export(small(), (3, 8, 32, 32), out, {})
    with pytest.raises(ModelError, match=r"it was not written\. The kernel head's square root is steep at 0"):
        export(small(head="kernel"), (3, 8, 32, 32), out, {})
    assert list(tmp_path.iterdir()) == []


def test_exporting_leaves_the_model_in_training(tmp_path, monkeypatch):
    model = small().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    monkeypatch.setattr(
        "lgdnet.models.export.write_program", lambda o, e, other, path, a: path.touch() or o(other)[0]
    )
    export(model, (3, 8, 32, 32), tmp_path / "model.pt2", {})
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_an_unknown_ending_is_named(tmp_path):
    with pytest.raises(
        ModelError, match=r"model\.pb: expected a name that ends in \.pt2 \(torch\.export\) or \.onnx"
    ):
        export(small(), (3, 8, 32, 32), tmp_path / "model.pb", {})


def test_onnx_without_its_packages_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(
        ModelError, match=r"ONNX needs the package onnxruntime: pip install 'lgdnet\[export\]'"
    ):
        export(small(), (3, 8, 32, 32), Path(tmp_path / "model.onnx"), {})


@pytest.mark.slow
def test_the_stage_exports_a_stream_with_all_that_another_runtime_needs(tmp_path):
    settings = parse(
        StreamSettings, '{"backbone": "lgd-p3d-resnet18", "width": 8, "crop": 32, "short_side": 36}'
    )
    network = randomise(network_of(settings, 2))
    write_stream(tmp_path / "model.safetensors", network, settings, ["jump", "run"], Media(tmp_path))
    stage.run(model=tmp_path / "model.safetensors", out=tmp_path / "model.onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    about = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["jump", "run"]
    assert json.loads(about["clip_shape"]) == [3, 16, 32, 32]
    assert len(json.loads(about["mean"])) == len(json.loads(about["std"])) == 3
    assert len(about["model_sha256"]) == 64
