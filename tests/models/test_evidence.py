"""The parts of a logit: places, global path and constant add up to it where the head is linear."""

import pytest
import torch

from lgdnet.models import HEADS, build_model
from lgdnet.models.evidence import evidence

K = 5


def network_and_clip(name="lgd-p3d-resnet18", head="sum", channels=3, order="paper"):
    torch.manual_seed(0)
    network = build_model(name, in_channels=channels, num_classes=K, head=head, width=4, order=order).eval()
    with torch.no_grad():  # W_xg starts at zero; a trained network's does not
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network, torch.randn(2, channels, 8, 48, 64)


@pytest.mark.parametrize("order", ["paper", "release"])
@pytest.mark.parametrize("head", ["local", "global", "sum", "concat"])
def test_the_parts_of_a_linear_head_add_up_to_the_logit(head, order):
    network, clip = network_and_clip(head=head, order=order)
    logits = network(clip).logits
    for k in range(K):
        parts = evidence(network, clip, k)
        total = parts.local.sum((1, 2, 3)) + parts.global_ + parts.constant
        assert parts.is_sum
        assert torch.allclose(parts.logit, logits[:, k], atol=1e-5)
        assert torch.allclose(total, logits[:, k], rtol=1e-5, atol=1e-5)


def test_a_network_without_a_global_path_has_nothing_from_it():
    network, clip = network_and_clip("p3d-resnet18")
    parts = evidence(network, clip, 1)
    assert not parts.global_.any()
    total = parts.local.sum((1, 2, 3)) + parts.constant
    assert torch.allclose(total, network(clip).logits[:, 1], rtol=1e-5, atol=1e-5)


def test_xception_and_sound_add_up_too():
    network, clip = network_and_clip("lgd-p3d-xception")
    parts = evidence(network, clip, 2)
    total = parts.local.sum((1, 2, 3)) + parts.global_ + parts.constant
    assert torch.allclose(total, network(clip).logits[:, 2], rtol=1e-5, atol=1e-5)
    network, _ = network_and_clip("xception", channels=1)
    sound = torch.randn(2, 1, 128, 64)
    parts = evidence(network, sound, 2)
    total = parts.local.sum((1, 2, 3)) + parts.constant
    assert torch.allclose(total, network(sound).logits[:, 2], rtol=1e-5, atol=1e-5)


def test_the_kernel_head_is_explained_by_its_slope():
    network, clip = network_and_clip(head="kernel")
    parts = evidence(network, clip, 3)
    assert not parts.is_sum
    x, g = (value.detach() for value in network.paths(clip))
    small = 1e-3
    # A little more of everything at one place changes the logit by what that place is said to bring.
    t, h, w = torch.nonzero(parts.local[0].abs() == parts.local[0].abs().max())[0].tolist()
    more = x.double().clone()
    more[0, :, t, h, w] *= 1 + small
    head = network.head.double()
    change = (head(more, g.double()).logits - head(x.double(), g.double()).logits)[0, 3] / small
    assert change.item() == pytest.approx(parts.local[0, t, h, w].item(), rel=0.05)


def test_every_head_is_known():
    for head in HEADS:
        network, clip = network_and_clip(head=head)
        assert evidence(network, clip[:1], 0).local.ndim == 4
