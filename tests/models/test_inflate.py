"""Weights of other networks: exact features on static clips, every tensor reported."""

import hashlib

import pytest
import torch
from agreement import relative
from random_weights import randomise
from reference_2d import ResNet, Xception, cadenes
from safetensors.torch import save_file
from torch import nn

from lgdnet.models import WeightsError, build_model, load_weights

torch.set_num_threads(1)

REFERENCES = {
    "resnet18": (lambda: ResNet((2, 2, 2, 2), bottleneck=False, width=16), 16, "torchvision"),
    "resnet50": (lambda: ResNet((3, 4, 6, 3), width=16), 16, "torchvision"),
    "resnext50-32x4d": (lambda: ResNet((3, 4, 6, 3), width=16, groups=32, base_width=4), 16, "torchvision"),
    "wide-resnet50": (lambda: ResNet((3, 4, 6, 3), width=16, base_width=128), 16, "torchvision"),
    "se-resnet50": (lambda: ResNet((3, 4, 6, 3), width=16, squeeze=True), 16, "timm"),
    "caffe-se-resnet50": (lambda: ResNet((3, 4, 6, 3), width=16, squeeze=True, caffe="resnet"), 16, "timm"),
    "caffe-se-resnext50-32x4d": (
        lambda: ResNet((3, 4, 6, 3), width=16, squeeze=True, caffe="resnext", groups=32, base_width=4),
        16,
        "timm",
    ),
    "xception": (lambda: Xception(width=16), 16, "timm"),
}


@pytest.mark.parametrize(
    "prefix",
    [*(pytest.param(p, marks=pytest.mark.slow) for p in ("", "p3d-")), "lgd-p3d-"],
    ids=["2d", "p3d", "lgd-p3d"],
)
@pytest.mark.parametrize("name", REFERENCES)
def test_a_static_clip_gives_the_pooled_features_of_the_2d_network(name, prefix):
    make, width, layout = REFERENCES[name]
    reference = randomise(make()).eval()
    model = build_model(prefix + name, in_channels=3, num_classes=1000, width=width).eval()
    state = reference.state_dict()
    load_weights(model, cadenes(state) if name.startswith("caffe") else state, layout)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = model(image.unsqueeze(2).expand(-1, -1, 8, -1, -1)).features_local
        expected = reference(image)
    assert expected.std() > 0.01 * expected.abs().mean() > 0
    assert relative(features, expected) < 1e-5


@pytest.mark.parametrize("units", ["A", "B", "C"])
def test_a_moving_clip_does_not_see_time_yet_but_each_kind_can_learn_it(units):
    reference = randomise(ResNet((3, 4, 6, 3), width=8)).eval()
    model = build_model("lgd-p3d-resnet50", in_channels=3, num_classes=5, width=8, units=units).eval()
    load_weights(model, reference.state_dict(), "torchvision")
    clip = torch.randn(1, 3, 16, 32, 32)
    features = model(clip).features_local
    with torch.no_grad():
        frames = torch.stack([reference(clip[:, :, t]) for t in (2, 6, 10, 14)]).mean(0)
    assert relative(features, frames) < 1e-5  # the stem looks at frame 2 of each 4
    features.square().sum().backward()
    T = [p.grad for name, p in model.named_parameters() if ".T." in name]
    assert T and all(grad.abs().sum() > 0 for grad in T)


def test_a_flow_stem_gets_the_mean_over_the_colours():
    reference = randomise(ResNet((3, 4, 6, 3), width=8))
    model = build_model("lgd-p3d-resnet50", in_channels=2, num_classes=5, width=8)
    report = load_weights(model, reference.state_dict(), "torchvision")
    kernel = model.stem.conv1.weight
    mean = reference.conv1.weight.mean(1)
    assert torch.equal(kernel[:, 0, 2], mean) and torch.equal(kernel[:, 1, 2], mean)
    assert not kernel[:, :, [0, 1, 3]].any()
    assert "stem.conv1.weight" in report.inflated


def test_the_report_names_every_tensor_of_model_and_source_once():
    reference = ResNet((3, 4, 6, 3), width=8)
    model = build_model("lgd-p3d-resnet50", in_channels=3, num_classes=5, width=8)
    report = load_weights(model, reference.state_dict(), "torchvision")
    names = [*report.loaded, *report.inflated, *report.reinitialised]
    assert sorted(names) == sorted(model.state_dict())
    assert len(report.loaded) + len(report.inflated) + len(report.left_over) == len(reference.state_dict())
    assert report.left_over == ["fc.bias", "fc.weight"]
    assert all(".T." in n or ".W_" in n or n.startswith("head.") for n in report.reinitialised)
    assert "53 inflated: stem.conv1.weight, " in str(report)
    assert "2 left over: fc.bias, fc.weight" in str(report)


def test_units_are_compared_as_the_cycle_that_they_are():
    source = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=4, units="ABAB")
    load_weights(
        build_model("p3d-resnet18", in_channels=3, num_classes=5, width=4, units="AB"), source.state_dict()
    )


def test_old_pointwise_kernels_with_two_axes_load():
    state = randomise(Xception(width=8)).state_dict()
    old = {n: t.flatten(1) if "pointwise" in n else t for n, t in state.items()}
    model = build_model("lgd-p3d-xception", in_channels=3, num_classes=5, width=8)
    load_weights(model, old, "timm")
    assert torch.equal(
        model.stages[2][1].F.conv4.pointwise.weight.flatten(1), state["conv4.pointwise.weight"].flatten(1)
    )


def test_a_deep_stem_of_timm_loads():
    model = build_model("resnet103", in_channels=3, num_classes=5, width=4).double().eval()
    names = {
        "conv1": "conv1.0",
        "bn1": "conv1.1",
        "conv2": "conv1.3",
        "bn2": "conv1.4",
        "conv3": "conv1.6",
        "bn3": "bn1",
    }
    source = {}
    timms = randomise(build_model("resnet103", in_channels=3, num_classes=5, width=4)).double().eval()
    for module in timms.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps = 1e-5  # ours is 2e-5
            module.running_var.mul_(1e-4)
    for name, tensor in timms.state_dict().items():
        if name.startswith("stem."):
            _, module, leaf = name.split(".")
            source[f"{names[module]}.{leaf}"] = tensor
        elif name.startswith("stages."):
            _, i, j, _, rest = name.split(".", 4)
            rest = rest.replace("unit.S", "conv2").replace("unit.bn", "bn2")
            source[f"layer{int(i) + 1}.{j}.{rest}"] = tensor
    load_weights(model, source, "timm")
    assert torch.equal(model.stem.conv3.weight, source["conv1.6.weight"])
    assert torch.equal(model.stem.bn3.weight, source["bn1.weight"])
    clip = torch.randn(2, 3, 1, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        assert relative(model(clip).features_local, timms(clip).features_local) < 1e-9


def test_a_stream_of_ours_starts_another_with_other_classes_channels_and_length():
    short = randomise(build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8))
    long = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=7, width=8)
    report = load_weights(long, short.state_dict())
    assert sorted(report.reinitialised) == [
        "head.global_.1.bias", "head.global_.1.weight", "head.local.1.bias", "head.local.1.weight",
    ]  # fmt: skip
    again = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8)
    load_weights(again, short.state_dict())
    clip = torch.randn(1, 3, 32, 32, 32)
    short.eval(), again.eval()
    assert torch.equal(again(clip).logits, short(clip).logits)
    flow = build_model("lgd-p3d-resnet18", in_channels=2, num_classes=5, width=8)
    assert load_weights(flow, short.state_dict()).inflated == ["stem.conv1.weight"]


def test_a_network_without_lgd_becomes_one_with_zero_diffusion():
    plain = randomise(build_model("p3d-resnet18", in_channels=3, num_classes=5, width=8)).eval()
    model = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8).eval()
    load_weights(model, plain.state_dict())
    clip = torch.randn(1, 3, 8, 32, 32)
    assert torch.equal(model(clip).features_local, plain(clip).features_local)


def test_a_classifier_is_taken_whole_or_not_at_all():
    concat = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8, head="concat")
    kernel = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8, head="kernel")
    before = kernel.head.both[1].bias.clone()
    report = load_weights(kernel, randomise(concat).state_dict())
    assert report.left_over == ["head.both.1.bias", "head.both.1.weight"]
    assert torch.equal(kernel.head.both[1].bias, before)
    local = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=8)
    two = build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8)
    assert "head.local.1.bias" in load_weights(two, local.state_dict()).loaded


def test_files_are_read_without_unpickling_and_checked_by_digest(tmp_path):
    state = randomise(ResNet((2, 2, 2, 2), bottleneck=False, width=8)).state_dict()
    plain, wrapped, safe = tmp_path / "a.pth", tmp_path / "b.pth", tmp_path / "c.safetensors"
    torch.save(state, plain)
    torch.save({"state_dict": {f"module.{n}": t for n, t in state.items()}, "epoch": 3}, wrapped)
    save_file(state, safe)
    for path in (plain, wrapped, safe):
        model = build_model("p3d-resnet18", in_channels=3, num_classes=5, width=8)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        load_weights(model, path, "torchvision", sha256=digest)
        assert torch.equal(model.stem.bn1.weight, state["bn1.weight"])
    with pytest.raises(WeightsError, match=r"c\.safetensors: expected sha256 00ff, found [0-9a-f]{64}"):
        load_weights(model, safe, "torchvision", sha256="00ff")
