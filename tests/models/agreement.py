"""How near two results are, and gradients that have to be the same."""

import torch
from torch import Tensor, nn


def relative(a: Tensor, b: Tensor) -> float:
    """Largest difference, as a share of the largest number."""
    return ((a - b).abs().max() / b.abs().max()).item()


def same_gradients(ours: Tensor, theirs: Tensor, inputs: tuple[Tensor, ...], **tolerance: float) -> None:
    """Of both results with regard to the inputs, in a random direction."""
    direction = torch.randn_like(theirs)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, direction),
        torch.autograd.grad(theirs, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(a, b, **tolerance)


def same_as_conv3d(conv: nn.Conv3d, x: Tensor, **tolerance: float) -> Tensor:
    """What `conv` makes of x: values and both gradients are those of nn.Conv3d. `tolerance`: of the gradients."""
    ours, theirs = conv(x), nn.Conv3d.forward(conv, x)
    torch.testing.assert_close(ours, theirs)
    same_gradients(ours, theirs, (x, conv.weight), **tolerance)
    return ours
