import pytest
import torch
from torch import nn

from lgdnet.optimizer import (
    Average,
    align,
    build_optimizer,
    clipped_update,
    load_optimizer,
    moving_buffers,
    set_batch_norm,
    set_learning_rate,
)

from .toy import toy_model


def updates(name, *, num_steps=3, clip_norm=None, **changes):
    """Weights after some updates with fixed gradients, by our optimiser."""
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(model.bias, 1.0)
    optimizer = build_optimizer(model, name, **changes)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for step in range(num_steps):
        set_learning_rate(optimizer, 0.1 / (step + 1))
        for weight in model.parameters():
            weight.grad = torch.arange(weight.numel(), dtype=torch.float32).reshape(weight.shape) - 1
        clipped_update(optimizer, scaler, list(model.parameters()), clip_norm)
    return model


def test_sgd_is_nesterov_by_its_formula():
    weight, buffer = torch.ones(2, 3), torch.zeros(2, 3)
    gradient = torch.arange(6.0).reshape(2, 3) - 1
    for step in range(3):
        decayed = gradient + 0.01 * weight
        buffer = 0.9 * buffer + decayed
        weight = weight - 0.1 / (step + 1) * (decayed + 0.9 * buffer)
    torch.testing.assert_close(updates("sgd", momentum=0.9, weight_decay=0.01).weight.data, weight)


def test_adamw_is_adamw_by_its_formula():
    weight, mean, square = torch.ones(2, 3), torch.zeros(2, 3), torch.zeros(2, 3)
    gradient = torch.arange(6.0).reshape(2, 3) - 1
    for step in range(3):
        rate = 0.1 / (step + 1)
        weight = weight - rate * 0.01 * weight
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        unbiased = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
        weight = weight - rate * (mean / (1 - 0.9 ** (step + 1))) / unbiased
    torch.testing.assert_close(updates("adamw", momentum=0.9, weight_decay=0.01).weight.data, weight)


def test_decay_can_leave_norm_and_biases_alone():
    with_all = updates("sgd", weight_decay=0.5, num_steps=2)
    without = updates("sgd", weight_decay=0.5, num_steps=2, decay_norm_and_bias=False)
    none = updates("sgd", weight_decay=0.0, num_steps=2)
    assert torch.equal(with_all.weight, without.weight) and not torch.equal(with_all.weight, none.weight)
    assert torch.equal(without.bias, none.bias) and not torch.equal(with_all.bias, none.bias)


def test_an_unknown_optimizer_is_an_error():
    with pytest.raises(ValueError, match="unknown optimizer 'lamb'; known: sgd, adamw"):
        build_optimizer(nn.Linear(1, 1), "lamb")


def test_clipping_scales_the_common_norm():
    free, clipped = (
        updates("sgd", num_steps=1, momentum=0.0),
        updates("sgd", num_steps=1, momentum=0.0, clip_norm=1.0),
    )
    norm = torch.cat([torch.arange(6.0) - 1, torch.arange(2.0) - 1]).norm()
    torch.testing.assert_close((1 - clipped.weight) * norm, 1 - free.weight)


def test_state_follows_the_memory_layout_of_the_weights():
    model = toy_model()
    state = build_optimizer(model).state_dict()
    model.to(memory_format=torch.channels_last_3d)
    optimizer = build_optimizer(toy_model().to(memory_format=torch.channels_last_3d))
    load_optimizer(optimizer, state)
    align(optimizer)
    for weight, values in optimizer.state.items():
        assert values["momentum_buffer"].stride() == weight.stride()


class TwoNorms(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Conv3d(4, 4, 1), nn.BatchNorm3d(4))


@pytest.mark.parametrize(
    ("mode", "learning"),
    [("train", [1, 1]), ("synchronised", [1, 1]), ("frozen", [0, 0]), ("frozen-but-first", [1, 0])],
)
def test_normalisation_learns_or_stands_still(mode, learning):
    model = TwoNorms().train()
    set_batch_norm(model, mode)
    before = [model[i].running_mean.clone() for i in (1, 3)]
    model(torch.randn(4, 3, 2, 5, 5)).mean().backward()
    for index, learns, then in zip((1, 3), learning, before, strict=True):
        assert torch.equal(model[index].running_mean, then) != bool(learns)
        assert (model[index].weight.grad is not None) == bool(learns)
    assert len(moving_buffers(model)) == 3 * sum(learning)
    set_batch_norm(model, "train")
    assert all(weight.requires_grad for weight in model.parameters())


def test_the_average_of_constant_weights_is_these_weights_and_lags_behind_moving_ones():
    model = toy_model()
    average = Average(model, 0.9)
    average.follow(model, 0, torch.tensor(1.0))
    assert all(torch.equal(a, b) for a, b in zip(average.model.parameters(), model.parameters(), strict=True))
    before = model.conv.weight.detach().clone()
    with torch.no_grad():
        model.conv.weight += 1.0
        model.bn.num_batches_tracked += 5
    average.follow(model, 1000, torch.tensor(1.0))
    torch.testing.assert_close(average.model.conv.weight, before + 0.1)
    assert int(average.model.bn.num_batches_tracked) == 5
