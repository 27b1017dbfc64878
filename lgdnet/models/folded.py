"""Convolution, batch norm and max-pool over clips, computed by their cheaper 2D twins.

A P3D network needs no true 3D kernel: each one is flat in time or flat in space. So T is folded into the
batch for a (1, k, k) kernel, H x W into one axis for a (3, 1, 1) kernel, and T into the channels for a stem
whose kernel is as long as its stride. The weights keep their five axes, so a state dict looks like one of
`nn.Conv3d`, and the numbers are those of `nn.Conv3d`. Tensors are channels-last inside, where every fold is a
view. Depthwise `conv3d` has no fast kernel on CPU, and bf16 `conv3d` was wrong on some cuDNN versions.

N clips, C channels, T frames, H x W pixels, C_out output channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgdnet.models.weight_gradient import Pair, conv2d

WIDE = 64  # input channels from which oneDNN's convolution is faster than a matrix product
HAS_ONEDNN = torch.backends.mkldnn.is_available()


def onednn_takes(x: Tensor) -> bool:
    """Whether torch hands a convolution of x to oneDNN: float32 on a CPU."""
    return HAS_ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32


def fold(x: Tensor) -> Tensor:
    """(N, C, T, H, W) -> (N * T, C, H, W): frames become images, channels-last; a view of such a clip."""
    return channels_first(channels_last(x).flatten(0, 1))


def unfold(x: Tensor, T: int) -> Tensor:
    """(N * T, C, H, W) -> (N, C, T, H, W): the inverse of `fold`."""
    return channels_first(channels_last(x).unflatten(0, (-1, T)))


def channels_last(x: Tensor) -> Tensor:
    """(N, C, ...) -> (N, ..., C), contiguous.

    Shapes change in this form only: then the strides of axes of length 1 come out such that torch still sees
    a channels-last tensor. Otherwise a single clip takes slow paths.
    """
    return x.movedim(1, -1).contiguous()


def channels_first(x: Tensor) -> Tensor:
    """(N, ..., C) -> (N, C, ...): a view."""
    return x.movedim(-1, 1)


class FoldedConv(nn.Conv3d):
    """nn.Conv3d by way of conv2d. How clips become images and back is the kernel's own."""

    def forward(self, x: Tensor) -> Tensor:
        images, shape = self.to_images(x)
        stride, padding = self.stride_and_padding(x)
        y = conv2d(images, self.kernel(x), self.bias, stride=stride, padding=padding, groups=self.groups)
        return self.to_clips(y, shape)

    def is_product(self, x: Tensor) -> bool:
        """Whether a plain matrix product is the faster form of this layer, for x."""
        return False

    def to_images(self, x: Tensor) -> tuple[Tensor, Any]:
        """Clips as images, channels-last, and what `to_clips` needs to know."""
        raise NotImplementedError

    def to_clips(self, y: Tensor, shape: Any) -> Tensor:
        raise NotImplementedError

    def kernel(self, x: Tensor) -> Tensor:
        """The kernel for images, on the device of x. (C_out, C / groups, kh, kw)"""
        raise NotImplementedError

    def stride_and_padding(self, x: Tensor) -> tuple[Pair, Pair]:
        """Those of the images, on the device of x."""
        raise NotImplementedError


class SpatialConv(FoldedConv):
    """nn.Conv3d with a (t, k, k) kernel and a (t, s, s) stride: t frames at a time, none of them twice.

    t = 1 everywhere but in the stem, where t is the early stride.
    """

    def __init__(
        self,
        C: int,
        C_out: int,
        k: int,
        *,
        t: int = 1,
        stride: int = 1,
        pad: int | None = None,
        groups: int = 1,
    ) -> None:
        p = k // 2 if pad is None else pad
        super().__init__(
            C, C_out, (t, k, k), stride=(t, stride, stride), padding=(0, p, p), groups=groups, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if self.is_product(x) else super().forward(x)

    def is_product(self, x: Tensor) -> bool:
        """1x1x1 kernels of narrow layers, on GPUs and in double precision."""
        return self.kernel_size == (1, 1, 1) and not (self.in_channels >= WIDE and onednn_takes(x))

    def linear(self, x: Tensor) -> Tensor:
        """A 1x1x1 kernel is one matrix product over all positions of all clips."""
        s = self.stride[1]
        x = channels_last(x[..., ::s, ::s] if s > 1 else x)  # (N, T, H, W, C)
        return channels_first(F.linear(x, self.weight.flatten(1), self.bias))

    def to_images(self, x: Tensor) -> tuple[Tensor, int]:
        """(N, C, T, H, W) -> (N * T / t, C * t, H, W) and T / t: t frames are one image."""
        t = self.kernel_size[0]
        if t > 1:
            x = x.unflatten(2, (-1, t)).transpose(2, 3).flatten(1, 2)  # (N, C * t, T / t, H, W)
        return fold(x), x.shape[2]

    def to_clips(self, y: Tensor, shape: int) -> Tensor:
        return unfold(y, shape)

    def kernel(self, x: Tensor) -> Tensor:
        return self.weight.flatten(1, 2)  # (C_out, C * t, k, k)

    def stride_and_padding(self, x: Tensor) -> tuple[Pair, Pair]:
        p = int(self.padding[1])
        return (self.stride[1], self.stride[2]), (p, p)


class TemporalConv(FoldedConv):
    """nn.Conv3d with a (3, 1, 1) kernel that keeps T; `stride` is spatial."""

    def __init__(self, C: int, C_out: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            C, C_out, (3, 1, 1), stride=(1, stride, stride), padding=(1, 0, 0), groups=groups, bias=False
        )

    def to_images(self, x: Tensor) -> tuple[Tensor, Pair]:
        """(N, C, T, H, W) -> (N, C, T, H' * W') and (H', W'): the stride is taken here, a clip is one image."""
        s = self.stride[1]
        if s > 1:
            x = x[..., ::s, ::s]
        return channels_first(channels_last(x).flatten(2, 3)), (x.shape[3], x.shape[4])

    def to_clips(self, y: Tensor, shape: Pair) -> Tensor:
        return channels_first(channels_last(y).unflatten(2, shape))

    def kernel(self, x: Tensor) -> Tensor:
        weight = self.weight.flatten(3)  # (C_out, C / groups, 3, 1)
        return F.pad(weight, (1, 1)) if self.as_3x3(x) else weight

    def stride_and_padding(self, x: Tensor) -> tuple[Pair, Pair]:
        return (1, 1), (1, 1 if self.as_3x3(x) else 0)

    def as_3x3(self, x: Tensor) -> bool:
        """cuDNN has a fast depthwise kernel for 3x3 only: 18x that of 3x1, zeros and all."""
        return x.is_cuda and self.groups == self.in_channels


class BatchNorm(nn.BatchNorm3d):
    """nn.BatchNorm3d under one name for all networks.

    On a CPU it takes the five axes as they are: its result is no view, so a ReLU may work on it in place. (In
    place on a view, autograd copies whole tensors, six times slower.) On a GPU torch has a channels-last kernel
    for images only, so frames become images there, and nothing works in place.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return unfold(super().forward(fold(x)), x.shape[2])
        return super().forward(x)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (4, 5):
            raise ValueError(
                f"expected a clip (N, C, T, H, W) or frames (N, C, H, W); {tuple(input.shape)} came"
            )


def relu_(x: Tensor) -> Tensor:
    """ReLU of a tensor that is nobody else's: in place on a CPU, where a new page costs more than the ReLU."""
    return F.relu(x, inplace=not x.is_cuda)


def add_(x: Tensor, y: Tensor) -> Tensor:
    """x + y for an x that is nobody else's: in place on a CPU."""
    return x + y if x.is_cuda else x.add_(y)


def max_pool(x: Tensor, *, ceil: bool = False) -> Tensor:
    """Spatial 3x3 max-pool with stride 2. (N, C, T, H, W) -> (N, C, T, H/2, W/2)

    Padded by 1 on all sides, or with `ceil` only at the far ones, as Caffe does.
    """
    return unfold(F.max_pool2d(fold(x), 3, 2, padding=0 if ceil else 1, ceil_mode=ceil), x.shape[2])


def average(x: Tensor) -> Tensor:
    """P: global average pool over T, H, W. (N, C, T, H, W) -> (N, C)"""
    T, H, W = x.shape[2:]
    # Float16 ends at 65504, which the sum over a clip exceeds. Dividing last: the gradient stays (N, C) until it
    # is broadcast.
    total = x.sum((2, 3, 4), dtype=torch.promote_types(x.dtype, torch.float32))
    return (total / (T * H * W)).to(x.dtype)


def broadcast(g: Tensor) -> Tensor:
    """US: one C-vector at every position. (N, C) -> (N, C, 1, 1, 1), which adds to (N, C, T, H, W)."""
    return g[:, :, None, None, None]
