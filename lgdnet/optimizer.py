"""What moves the weights, what averages them, and which normalisation stands still."""

import copy
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from lgdnet.schedules import average_decay

BatchNormMode = Literal["train", "frozen", "frozen-but-first", "synchronised"]


def build_optimizer(
    model: nn.Module,
    name: str = "sgd",
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    decay_norm_and_bias: bool = True,
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, fused: one kernel for all weights, on CPU and GPU.

    The learning rate is set before every step. All parameters belong to it, frozen ones too (they have no
    gradient and stay), so that the state of a run keeps its shape when normalisation is frozen later.
    Errors: ValueError for an unknown name.
    """
    groups = decay_groups(model, weight_decay, decay_norm_and_bias=decay_norm_and_bias)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=(momentum, 0.999), fused=True)
    if name != "sgd":
        raise ValueError(f"unknown optimizer {name!r}; known: sgd, adamw")
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=momentum > 0, fused=True)
    for group in optimizer.param_groups if momentum else ():
        for weight in group[
            "params"
        ]:  # torch leaves them unset until the first step, garbage if that is skipped
            optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return optimizer


def decay_groups(model: nn.Module, weight_decay: float, *, decay_norm_and_bias: bool) -> list[dict]:
    """All parameters with weight decay; or vectors (norm weights, biases) in a group of their own without."""
    if decay_norm_and_bias:
        return [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """One rate for all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Restore the state of a checkpoint."""
    optimizer.load_state_dict(state)
    align(optimizer)


def align(optimizer: torch.optim.Optimizer) -> None:
    """Bring the state to the device and memory layout of the weights: fused kernels need both alike."""
    for weight, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                values[key] = torch.empty_like(weight).copy_(value)


def clipped_update(
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    weights: Sequence[nn.Parameter],
    clip_norm: float | None,
) -> Tensor:
    """One update with gradients clipped to a common norm; returns the norm before clipping, ().

    Where the norm is not finite nothing moves: weights, momentum and counters stay as they were. The
    decision is made on the device, so nobody waits for it, and from summed gradients, so all processes make
    the same one.
    """
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(weights, clip_norm or math.inf)
    if not scaler.is_enabled():  # an enabled one looks for itself
        optimizer.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
    scaler.step(optimizer)
    scaler.update()
    return norm


# ---- a running average of the weights


class Average:
    """Exponential moving average of a model; `model` is a copy that is evaluated and stored in its place."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int, norm: Tensor) -> None:
        """Move a little towards the weights after `step`, but not where the gradient norm is not finite.

        The weight is a tensor: nobody waits for the device to know which it is. Counters are copied.
        """
        weight = norm.isfinite() * (1 - average_decay(step, self.decay))
        own, new = self.model.state_dict().values(), model.state_dict().values()
        for a, b in zip(own, new, strict=True):
            if a.is_floating_point():
                a.lerp_(b, weight.to(a.dtype))
            else:
                a.copy_(b)


# ---- batch normalisation


def set_batch_norm(model: nn.Module, mode: BatchNormMode) -> None:
    """Put normalisation into its training mode; call it after every `model.train()`.

    `frozen` layers use and keep their stored statistics, scale and shift. `frozen-but-first` leaves the first
    layer learning, as the author's recipe for long clips does: the input's statistics are all that changes.
    """
    layers = [module for module in model.modules() if isinstance(module, BatchNorm)]
    num_learning = {"frozen": 0, "frozen-but-first": 1}.get(mode, len(layers))
    for index, layer in enumerate(layers):
        learns = index < num_learning
        layer.train(learns).requires_grad_(learns)


def moving_buffers(model: nn.Module) -> list[Tensor]:
    """The statistics that a training step changes, to take them back when its loss is not finite."""
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.training]
    return [buffer for layer in layers for buffer in layer.buffers()]


def take_back(buffers: Sequence[Tensor], before: Sequence[Tensor], norm: Tensor) -> None:
    """Restore `buffers` to `before` where the gradient norm is not finite, without waiting for the device."""
    finite = norm.isfinite()
    for now, then in zip(buffers, before, strict=True):
        torch.where(finite, now, then, out=now)
