"""What a model costs: parameters by role, and multiply-adds of one forward pass."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


class Parameters(NamedTuple):
    """How many numbers a model has as weights, frozen ones included, and what for."""

    total: int
    lgd: int  # the low-rank maps W_xg, W_gx, W_gg
    temporal: int  # temporal convolutions T


def parameters_by_role(model: nn.Module) -> Parameters:
    """Parameters of a model, and of its LGD maps and temporal kernels."""
    total = lgd = temporal = 0
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        total += parameter.numel()
        lgd += parameter.numel() if any(part.startswith("W_") for part in parts) else 0
        temporal += parameter.numel() if "T" in parts else 0
    return Parameters(total, lgd, temporal)


def count_parameters(model: nn.Module) -> int:
    """How many numbers the model has as weights, frozen ones included."""
    return parameters_by_role(model).total


def count_gflops(model: nn.Module, input_shape: Sequence[int]) -> float:
    """Billions of multiply-adds of one forward pass on a clip of `input_shape` (N, C, T, H, W).

    One multiply-add counts once, as the papers count "FLOPs"; batch norm, ReLU and pooling are not counted.
    Nothing is computed: the pass runs on the meta device.
    """
    tensors = {name: t.to("meta") for name, t in [*model.named_parameters(), *model.named_buffers()]}
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            clip = torch.empty(*input_shape, device="meta", dtype=next(model.parameters()).dtype)
            functional_call(model, tensors, (clip,))
    finally:
        model.train(training)
    return counter.get_total_flops() / 2e9
