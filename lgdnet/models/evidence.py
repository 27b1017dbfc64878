"""Where a class gets its logit from: the places of the local path, the global path, and the constant.

N clips, C channels of the local path, D of the global one, T frames, H x W positions of the last feature map.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from lgdnet.models.heads import Classifier, ConcatHead, GlobalHead, KernelHead, LocalHead, SumHead
from lgdnet.models.lgd import ModelError, TwoPathNetwork


class Evidence(NamedTuple):
    """The logit of one class in parts. `is_sum`: local summed over T, H, W, plus global, plus constant is the logit.

    Where a head is not linear the parts are gradient times activation, which tells where it looks, but adds up to
    nothing in particular.
    """

    local: Tensor  # (N, T, H, W)
    global_: Tensor  # (N,)
    constant: Tensor  # (N,)
    logit: Tensor  # (N,)
    is_sum: bool


def evidence(network: TwoPathNetwork, clip: Tensor, class_index: int) -> Evidence:
    """Of one class on clips (N, C, T, H, W). Errors: ModelError for a head that is not known here."""
    with torch.no_grad():
        x, g = network.paths(clip)
    parts = linear_parts(network.head, class_index, x.shape[1])
    if parts is None:
        return by_gradient(network.head, x, g, class_index)
    with torch.no_grad():
        logit = network.head(x, g).logits[:, class_index].float()
        if parts.local is None:
            local = x.new_zeros(len(x), *x.shape[2:])
        else:  # the local path enters as its mean over all positions: each of them brings its share
            local = torch.einsum("ncthw,c->nthw", x.float(), parts.local.float()) / x[0, 0].numel()
        from_global = torch.zeros_like(logit)
        if g is not None and parts.global_ is not None:
            from_global = g.float() @ parts.global_.float()
    return Evidence(local, from_global, parts.constant.detach().float().expand_as(logit), logit, is_sum=True)


class Parts(NamedTuple):
    """A linear head for one class; None for a path that it does not look at."""

    local: Tensor | None  # (C,)
    global_: Tensor | None  # (D,)
    constant: Tensor  # ()


def linear_parts(head: nn.Module, k: int, C: int) -> Parts | None:
    """Weights of class k on both paths; None for a head that is not linear."""
    if isinstance(head, LocalHead):
        return Parts(weight(head.local)[k], None, bias(head.local)[k])
    if isinstance(head, GlobalHead):
        return Parts(None, weight(head.global_)[k], bias(head.global_)[k])
    if isinstance(head, SumHead):
        constant = (bias(head.local)[k] + bias(head.global_)[k]) / 2
        return Parts(weight(head.local)[k] / 2, weight(head.global_)[k] / 2, constant)
    if isinstance(head, ConcatHead):
        both = weight(head.both)[k]
        return Parts(both[:C], both[C:], bias(head.both)[k])
    if isinstance(head, KernelHead):
        return None
    raise ModelError(f"head {type(head).__name__}: not known how it comes to its logits")


def weight(classifier: Classifier) -> Tensor:
    """(K, channels)"""
    return cast(nn.Linear, classifier[-1]).weight


def bias(classifier: Classifier) -> Tensor:
    """(K,)"""
    return cast(nn.Linear, classifier[-1]).bias


def by_gradient(head: nn.Module, x: Tensor, g: Tensor | None, k: int) -> Evidence:
    """Gradient times activation of both paths, for heads that are not linear."""
    paths = [x.detach().requires_grad_()] + ([] if g is None else [g.detach().requires_grad_()])
    with torch.enable_grad():
        logit = head(paths[0], paths[1] if g is not None else None).logits[:, k]
        slopes = torch.autograd.grad(logit.sum(), paths)
    local = (slopes[0] * paths[0]).sum(1).detach()
    from_global = torch.zeros_like(logit) if g is None else (slopes[1] * paths[1]).sum(1)
    zero = torch.zeros_like(logit)
    return Evidence(local, from_global.detach(), zero.detach(), logit.detach().float(), is_sum=False)
