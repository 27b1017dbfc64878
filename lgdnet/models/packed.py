"""Networks as they run when nothing is learned any more: batch norm folded, kernels in the order oneDNN reads them.

Given plain weights, oneDNN brings them into its own order in every call, which late layers with many weights and few
positions feel. Here that is done once, by the operations that torch's own compiler uses for it.
"""

import threading

import torch
from torch import Tensor, nn

from lgdnet.models.folded import FoldedConv, onednn_takes
from lgdnet.models.fuse import fused
from lgdnet.models.lgd import TwoPathNetwork

PACKING = threading.Lock()


def for_inference(model: TwoPathNetwork) -> TwoPathNetwork:
    """`model` itself, in evaluation mode, in its fastest form on the device it is on: `fused`, and packed on a CPU.

    It is for `model(clip)` and nothing else: no gradients, and from the first call on no weights to load, copy or move.
    Same mathematics, other rounding.
    Errors: ModelError for a model in training mode.
    """
    if any(isinstance(module, PackedConv) for module in model.modules()):
        return model
    model = fused(model, in_place=True)
    for name, module in list(model.named_modules()):
        if isinstance(module, FoldedConv) and packs(module):
            model.set_submodule(name, PackedConv(module))
    return model


def packs(conv: FoldedConv) -> bool:
    """Whether oneDNN computes this layer, and torch has the operations."""
    has_operations = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    return has_operations and onednn_takes(conv.weight) and not conv.is_product(conv.weight)


class PackedConv(nn.Module):
    """A convolution whose kernel is packed when the first clips come, for their shape; others may follow."""

    def __init__(self, conv: FoldedConv) -> None:
        super().__init__()
        self.conv = conv
        self.packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        images, shape = self.conv.to_images(x)
        stride, padding = self.conv.stride_and_padding(x)
        groups = self.conv.groups
        with PACKING:
            if self.packed is None:
                self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                    self.conv.kernel(x).contiguous(), padding, stride, (1, 1), groups, images.shape
                )
                self.conv.register_parameter("weight", None)  # one copy is enough
        y = torch.ops.mkldnn._convolution_pointwise(
            images, self.packed, self.conv.bias, padding, stride, (1, 1), groups, "none", [], ""
        )
        return self.conv.to_clips(y, shape)
