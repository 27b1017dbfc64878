"""Whole 3D networks against an independent formulation with plain Conv3d: values, gradients, statistics."""

import re

import pytest
import torch
from agreement import relative
from naive_models import NaiveLGDResNet, NaiveXception
from random_weights import randomise

from lgdnet.models import build_model, load_weights, training_loss
from lgdnet.models.layouts import source_name

torch.set_num_threads(1)


def naive_name(name: str, model) -> str:
    """Our name of a tensor -> the naive network's."""
    name = (
        re.sub(r"\.T\.weight$", ".conv1_t.weight", source_name(name, model, "timm"))
        if "xception" in str(type(model.stem)).lower()
        else source_name(name, model, "release")
    )
    first = (0, 3, 11)
    name = re.sub(r"^stages\.(\d)\.(\d)\.(W_..)\.", lambda m: f"{m[3]}.{first[int(m[1])] + int(m[2])}.", name)
    name = re.sub(r"^block(\d+)\.W_", lambda m: f"W_{int(m[1]) - 1}", name)
    return name.replace("head.global_.1.", "fc_g.")


def take(model, naive) -> None:
    """The naive network's weights into ours, every one of them."""
    state = naive.state_dict()
    names = {name: naive_name(name, model) for name in model.state_dict()}
    assert sorted(names.values()) == sorted(state)
    model.load_state_dict({name: state[theirs] for name, theirs in names.items()})


def same_step(model, naive, clip: torch.Tensor) -> None:
    """Logits at test and in training, every gradient and every statistic agree to 1e-5 of the largest."""
    model.eval(), naive.eval()
    with torch.no_grad():
        assert relative(model(clip).logits, naive(clip)) < 1e-5
    model.train(), naive.train()
    ours, theirs = model(clip).logits, naive(clip)
    assert relative(ours, theirs) < 1e-5
    ours.square().mean().backward()
    theirs.square().mean().backward()
    parameters = dict(naive.named_parameters())
    for name, parameter in model.named_parameters():
        assert relative(parameter.grad, parameters[naive_name(name, model)].grad) < 1e-5, name
    buffers = dict(naive.named_buffers())
    for name, buffer in model.named_buffers():
        assert torch.allclose(buffer, buffers[naive_name(name, model)], rtol=1e-5), name


@pytest.mark.parametrize("order", ["paper", "release", None])
def test_resnet50_equals_the_naive_formulation(order):
    naive = randomise(NaiveLGDResNet(num_classes=5, order=order, width=16).double())
    name = "lgd-p3d-resnet50" if order else "p3d-resnet50"
    model = build_model(
        name, in_channels=3, num_classes=5, order=order or "paper", width=16, dropout=0.0
    ).double()
    take(model, naive)
    same_step(model, naive, torch.randn(2, 3, 8, 48, 48, dtype=torch.float64))


@pytest.mark.parametrize("width", [16, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lgd", [True, False])
def test_xception_equals_the_naive_formulation(lgd, width):
    naive = randomise(NaiveXception(num_classes=5, lgd=lgd, width=width).double())
    name = "lgd-p3d-xception" if lgd else "p3d-xception"
    model = build_model(name, in_channels=3, num_classes=5, dropout=0.0, width=width).double()
    take(model, naive)
    same_step(model, naive, torch.randn(2, 3, 8, 64, 64, dtype=torch.float64))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lgd-p3d-resnet50", "lgd-p3d-xception"])
def test_full_width_agrees_in_float32_too(name):
    naive = (
        NaiveLGDResNet(num_classes=5, order="paper")
        if "resnet" in name
        else NaiveXception(num_classes=5, lgd=True)
    )
    model = build_model(name, in_channels=3, num_classes=5).eval()
    take(model, randomise(naive).eval())
    clip = torch.randn(1, 3, 16, 112, 112)
    with torch.no_grad():
        assert relative(model(clip).logits, naive(clip)) < 1e-5


def test_the_authors_release_loads_whole_and_gives_its_logits():
    naive = randomise(NaiveLGDResNet(num_classes=5, order="release", width=16)).eval()
    model = build_model("lgd-p3d-resnet50", in_channels=3, num_classes=5, order="release", width=16).eval()
    report = load_weights(model, naive.state_dict(), "release")
    assert len(report.loaded) == len(naive.state_dict())
    assert not (report.inflated or report.reinitialised or report.left_over)
    clip = torch.randn(2, 3, 8, 48, 48)
    with torch.no_grad():
        assert relative(model(clip).logits, naive(clip)) < 1e-5
    label = torch.tensor([0, 1])
    assert training_loss(model(clip), label) > 0
