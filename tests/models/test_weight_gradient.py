"""conv2d whose weight gradient is a matrix product: torch's values, gradients of both orders, and when it is taken."""

import pytest
import torch
import torch.nn.functional as F
from agreement import same_as_conv3d, same_gradients
from random_weights import randomise

from lgdnet.models import build_model, weight_gradient
from lgdnet.models.folded import SpatialConv, TemporalConv
from lgdnet.models.weight_gradient import TrainedConv2d, conv2d, product_pays

torch.set_num_threads(1)


@pytest.fixture
def always(monkeypatch):
    """Narrow layers take the product too, in chunks of one or two frames."""
    monkeypatch.setattr(weight_gradient, "NARROW", 1)
    monkeypatch.setattr(weight_gradient, "CHUNK_BYTES", 2 * 7 * 9 * 9 * 3 * 8)


def used(y: torch.Tensor) -> bool:
    """Whether the product will compute a gradient of `y`."""
    steps, seen = [y.grad_fn], set()
    while steps:
        step = steps.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        if type(step).__name__ == "TrainedConv2dBackward":
            return True
        steps.extend(before for before, _ in step.next_functions)
    return False


@pytest.mark.parametrize("H, W", [(1, 1), (2, 3), (7, 9), (8, 8)])
@pytest.mark.parametrize(
    "kernel, stride, padding",
    [((3, 3), (1, 1), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((3, 1), (1, 1), (1, 0)), ((3, 3), (2, 2), (2, 1)),
     ((1, 1), (2, 2), (0, 0))],
)  # fmt: skip
def test_values_and_gradients_are_torchs(always, H, W, kernel, stride, padding):
    x = torch.randn(5, 3, H, W, dtype=torch.float64).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(4, 3, *kernel, dtype=torch.float64, requires_grad=True)
    ours = conv2d(x, weight, None, stride=stride, padding=padding, groups=1)
    theirs = F.conv2d(x, weight, stride=stride, padding=padding)
    assert used(ours) and not used(theirs)
    assert torch.equal(ours, theirs)
    same_gradients(ours, theirs, (x, weight))


def test_finite_differences_of_first_and_second_order(always):
    x = torch.randn(3, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    apply = lambda x, weight: TrainedConv2d.apply(x, weight, (2, 2), (1, 1))  # noqa: E731
    assert torch.autograd.gradcheck(apply, (x, weight))
    assert torch.autograd.gradgradcheck(apply, (x, weight))


@pytest.mark.parametrize("T", [1, 2, 3, 5, 32])
def test_layers_of_any_clip_length_have_conv3ds_gradients(T):
    for conv in (SpatialConv(32, 8, 3, stride=2), TemporalConv(32, 8), TemporalConv(32, 8, stride=2)):
        conv = conv.double()
        x = torch.randn(2, 32, T, 7, 5, dtype=torch.float64, requires_grad=True)
        assert used(same_as_conv3d(conv, x))


def test_it_is_taken_in_training_and_nowhere_else(monkeypatch):
    monkeypatch.setattr(weight_gradient, "HAS_AVX512", False)
    conv = SpatialConv(32, 8, 3)
    x = torch.randn(1, 32, 2, 5, 5)
    assert used(conv(x))
    assert not used(SpatialConv(3, 8, 3)(x[:, :3]))  # a stem: too narrow
    assert not used(SpatialConv(32, 32, 3, groups=32)(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not used(conv(x))
    half = conv.bfloat16()
    assert not used(half(x.bfloat16()))
    conv = conv.float().requires_grad_(False)
    assert not used(conv(x.requires_grad_()))
    with torch.no_grad():
        assert not product_pays(x, SpatialConv(32, 8, 3).weight, 1)
    assert not product_pays(x.to("meta"), SpatialConv(32, 8, 3).weight, 1)


def test_with_avx512_narrower_3x3_kernels_stay_with_onednn(monkeypatch):
    monkeypatch.setattr(weight_gradient, "HAS_AVX512", True)
    assert not used(SpatialConv(64, 8, 3)(torch.randn(1, 64, 2, 5, 5)))
    assert used(SpatialConv(64, 8, 3).double()(torch.randn(1, 64, 2, 5, 5, dtype=torch.float64)))
    assert used(SpatialConv(512, 8, 3)(torch.randn(1, 512, 2, 5, 5)))
    assert used(SpatialConv(64, 8, 1)(torch.randn(1, 64, 2, 5, 5)))
    assert used(TemporalConv(64, 8)(torch.randn(1, 64, 2, 5, 5)))
    monkeypatch.setattr(weight_gradient, "HAS_AVX512", False)
    assert used(SpatialConv(64, 8, 3)(torch.randn(1, 64, 2, 5, 5)))


@pytest.mark.parametrize("stride", [1, 2])
def test_a_wide_1x1x1_kernel_is_conv3d(stride):
    conv = SpatialConv(64, 96, 1, stride=stride)
    x = torch.randn(2, 64, 3, 7, 5, requires_grad=True)
    assert used(same_as_conv3d(conv, x, rtol=1e-5, atol=1e-4))


def test_recomputed_blocks_have_the_same_gradients_bit_for_bit():
    clip = torch.randn(1, 3, 8, 32, 32)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = build_model(
            "lgd-p3d-resnet18",
            in_channels=3,
            num_classes=5,
            width=32,
            dropout=0.0,
            checkpointing=checkpointing,
        )
        logits = randomise(model)(clip).logits
        assert checkpointing or used(logits)
        logits.square().mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)
