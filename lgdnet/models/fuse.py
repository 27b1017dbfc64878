"""Networks for inference only: batch norm folded into the convolution before it.

In evaluation mode BN is one multiplication and one addition per channel, with constants; both fit into the
kernel and a bias, which saves a pass over every activation. The mathematics is the same, the rounding is not.
"""

import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from lgdnet.models.folded import BatchNorm, FoldedConv
from lgdnet.models.lgd import ModelError, TwoPathNetwork
from lgdnet.models.p3d import P3DUnit
from lgdnet.models.resnet import Shortcut
from lgdnet.models.xception import Block, Separable


def fused(model: TwoPathNetwork, *, in_place: bool = False) -> TwoPathNetwork:
    """A copy of `model` in evaluation mode without batch norm, its kernels laid out channels-last; with `in_place`
    the model itself, for whoever does not want to hold its weights twice.

    Errors: ModelError for a model in training mode, whose statistics still move.
    """
    if model.training:
        raise ModelError("only a model in evaluation mode can be fused; call .eval() first")
    model = (model if in_place else copy.deepcopy(model)).requires_grad_(False)
    for module in list(model.modules()):
        for convs, name in norms_of(module):
            norm = module.get_submodule(name)
            if isinstance(norm, BatchNorm):  # else it is folded already
                fold_norm(convs, norm)
                module.set_submodule(name, nn.Identity())
    left = [name for name, module in model.named_modules() if isinstance(module, BatchNorm)]
    assert not left, f"batch norm that no convolution took: {left}"
    return model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def norms_of(module: nn.Module) -> Iterator[tuple[list[FoldedConv], str]]:
    """The convolutions whose sum a batch norm of `module` takes, and its name."""
    children = dict(module.named_children())
    if isinstance(module, P3DUnit):
        kinds = {"A": ("T",), "B": ("S", "T"), "C": ("S",), "2D": ("S",)}
        yield [children[name] for name in kinds[module.kind]], "bn"  # type: ignore[misc]
    elif isinstance(module, Shortcut):
        yield [children["0"]], "1"  # type: ignore[list-item]
    elif isinstance(module, Block):
        for i, separable in enumerate(module.separable):
            yield [cast(Separable, separable).pointwise], f"bn.{i}"
    for conv, norm in (
        ("conv1", "bn1"),
        ("conv2", "bn2"),
        ("conv3", "bn3"),
        ("conv4", "bn4"),
        ("skip", "skipbn"),
    ):
        if isinstance(children.get(norm), BatchNorm):
            last = children[conv]
            yield [last.pointwise if isinstance(last, Separable) else last], norm  # type: ignore[list-item]


def fold_norm(convs: list[FoldedConv], bn: BatchNorm) -> None:
    """BN(a + b) = (s a) + (s b + bias), s = weight / sqrt(var + eps), for the convolutions a, b in front of it."""
    mean, var = cast(Tensor, bn.running_mean), cast(Tensor, bn.running_var)
    scale = bn.weight / (var + bn.eps).sqrt()
    for conv in convs:
        conv.weight.copy_(conv.weight * scale[:, None, None, None, None])
    convs[-1].bias = nn.Parameter(bn.bias - mean * scale, requires_grad=False)
