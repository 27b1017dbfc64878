"""Weights at which nothing is zero, one or unused, so that a wrong pairing of tensors shows."""

import math

import torch
from torch import nn


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and running statistic of `model`, from `seed`; signals keep their size."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point() or name.endswith("sign"):
                continue
            if name.endswith("running_var") or (tensor.dim() == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.dim() == 1:
                tensor.uniform_(-0.2, 0.2, generator=generator)
            else:
                tensor.normal_(0, math.sqrt(1.5 / tensor[0].numel()), generator=generator)
    return model
