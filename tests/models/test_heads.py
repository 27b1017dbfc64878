"""Heads and the loss: two classifiers, kernels made explicit, dropout that acts only in training."""

import pytest
import torch
from random_weights import randomise
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from lgdnet.models import HEADS, build_model, training_loss
from lgdnet.models.heads import KernelHead, Output, TensorSketch
from lgdnet.scores import read_features
from lgdnet.settings import DumpSettings, StreamSettings
from lgdnet.stages import dump
from lgdnet.streams import Media, network_of, write_stream
from tests.flow.pictures import small_set

torch.set_num_threads(1)


def small(**choices) -> nn.Module:
    torch.manual_seed(0)
    return build_model("lgd-p3d-resnet18", in_channels=3, num_classes=5, width=8, **choices)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_gives_logits_and_both_features(head):
    output = small(head=head).eval()(torch.randn(2, 3, 4, 32, 32))
    assert output.logits.shape == (2, 5)
    assert output.features_local.shape == output.features_global.shape == (2, 64)


def test_the_sum_head_averages_the_logits_of_its_two_classifiers():
    output = small().eval()(torch.randn(2, 3, 4, 32, 32))
    assert torch.equal(output.logits, (output.logits_local + output.logits_global) / 2)
    assert not torch.equal(output.logits_local, output.logits_global)


def test_two_classifiers_are_trained_by_the_sum_of_their_losses():
    logits, local, global_ = torch.randn(3, 4, 5)
    label = torch.tensor([0, 1, 2, 3])
    two = Output(logits, local, global_, logits_local=local, logits_global=global_)
    one = Output(logits, local, global_, logits_local=local)
    assert torch.equal(training_loss(two, label), cross_entropy(local, label) + cross_entropy(global_, label))
    assert torch.equal(training_loss(one, label), cross_entropy(logits, label))


def test_the_loss_takes_class_probabilities_and_smooths_labels():
    output = Output(torch.randn(4, 5), torch.randn(4, 2), None)
    label = torch.tensor([0, 1, 2, 3])
    hard, soft = training_loss(output, label, 0.1), training_loss(output, one_hot(label, 5).float(), 0.1)
    torch.testing.assert_close(hard, soft)
    assert hard != training_loss(output, label)


def test_dropout_changes_what_training_sees_and_not_what_testing_sees():
    features = torch.randn(1, 64, 1, 2, 2), torch.randn(1, 64)
    for name, head in HEADS.items():
        module = head(64, 64, 5, 0.5)
        assert not torch.equal(module(*features).logits, module(*features).logits), name
        module.eval()
        assert torch.equal(module(*features).logits, module(*features).logits), name


def test_tensor_sketch_approaches_the_squared_inner_product_as_d_grows():
    a, b = torch.randn(2, 16, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = (a @ b.T) ** 2
    scale = (a.norm(dim=1)[:, None] * b.norm(dim=1)) ** 2
    errors = []
    for d in (64, 1024, 16384):
        sketches = [TensorSketch(32, d, seed=seed) for seed in range(8)]
        products = torch.stack([phi(a) @ phi(b).T for phi in sketches])
        errors.append(((products - exact) / scale).pow(2).mean().sqrt().item())
    assert errors[0] > 3 * errors[1] > 9 * errors[2]  # the error falls as 1 / sqrt(d), by 4 at each step
    assert errors[2] < 0.015
    mean = torch.stack(
        [TensorSketch(32, 64, seed=s)(a) @ TensorSketch(32, 64, seed=s)(b).T for s in range(400)]
    ).mean(0)
    assert ((mean - exact) / scale).abs().max() < 0.05  # unbiased at any d


def test_the_kernel_head_is_what_its_definition_says():
    """Every pair of channels i, j adds sign(i) sign(j) a_i a_j to entry hash(i) + hash(j) of the sketch."""
    head = randomise(KernelHead(6, 6, 3, 0.5, d=16)).double().eval()
    generator = torch.Generator().manual_seed(0)
    x, g = (10 * torch.randn(*s, dtype=torch.float64, generator=generator) for s in ((2, 6, 2, 3, 3), (2, 6)))
    sketches = []
    for sketch, a in ((head.sketch_local, x.flatten(2).transpose(1, 2)), (head.sketch_global, g[:, None])):
        (h, k), (s, t) = sketch.hash, sketch.sign
        pairs = ((s * a)[..., :, None] * (t * a)[..., None, :]).flatten(2).mean(1)  # over positions
        entries = ((h[:, None] + k) % 16).flatten()
        sketches.append(torch.zeros(2, 16, dtype=torch.float64).index_add(1, entries, pairs))
    phi = torch.cat(sketches, 1)
    phi = phi.sign() * phi.abs().sqrt()
    phi = phi / phi.norm(dim=1, keepdim=True)
    linear = head.both[1]
    torch.testing.assert_close(head(x, g).logits, phi @ linear.weight.T + linear.bias, rtol=1e-4, atol=1e-6)


def test_a_sketch_has_8192_entries_for_each_path():
    head = small(head="kernel").head
    assert (head.sketch_local.d, head.sketch_global.d, head.both[1].in_features) == (8192, 8192, 16384)


def test_the_hashes_of_a_sketch_are_stored_with_the_weights():
    state = small(head="kernel").state_dict()
    assert {"head.sketch_local.hash", "head.sketch_local.sign", "head.sketch_global.hash"} <= set(state)
    a, b = TensorSketch(8, 32, seed=1), TensorSketch(8, 32, seed=2)
    b.load_state_dict(a.state_dict())
    x = torch.randn(3, 8)
    assert torch.equal(a(x), b(x))


def test_a_sketch_is_computed_in_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert TensorSketch(8, 32, seed=1)(torch.randn(3, 8).bfloat16()).dtype == torch.float32


def test_a_stream_with_a_kernel_head_is_dumped(tmp_path):
    small_set(tmp_path, (8,))
    settings = StreamSettings.model_validate(
        {
            "backbone": "p3d-resnet18",
            "width": 4,
            "head": "kernel",
            "clip_length": 4,
            "short_side": 32,
            "crop": 32,
        }
    )
    write_stream(tmp_path / "m.safetensors", network_of(settings, 2), settings, ["x", "y"], Media(tmp_path))
    out = tmp_path / "features.h5"
    dump.run(
        model=tmp_path / "m.safetensors",
        manifest=tmp_path / "m.csv",
        video_root=tmp_path,
        out=out,
        settings=DumpSettings(num_clips=2),
    )
    assert read_features([out]).read("logits", 0).shape == (2, 2)
