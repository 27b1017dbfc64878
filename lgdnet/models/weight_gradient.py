"""conv2d for training on a CPU: the gradient of its weights as a matrix product.

oneDNN computes that gradient at a third to three quarters of the speed of a matrix product, but for narrower 3x3
kernels with AVX-512. So what each position of the output sees is copied into a row (im2col: Chellapilla, Puri and
Simard, "High Performance Convolutional Neural Networks for Document Processing", 2006), a few frames at a time, and
multiplied with the output's gradient. A 1x1 kernel needs no copy: its input is the rows. The other two passes are
torch's own: no copy pays there. The mathematics is the same, the rounding is not.

F frames, C channels, H x W pixels, C_out, H', W' those of the output, kh x kw a kernel.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]
NARROW = 32  # input channels below which copying costs more than the product gains (the stems)
HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
AVX512_KEEPS = 256  # input channels up to which oneDNN's own is faster for 3x3 kernels, with AVX-512
CHUNK_BYTES = 2 << 20  # of rows at a time; they stay in the cache, and memory hardly grows


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: Pair, padding: Pair, groups: int
) -> Tensor:
    """`F.conv2d`. (F, C, H, W) -> (F, C_out, H', W'), channels-last"""
    if bias is None and product_pays(x, weight, groups):
        return TrainedConv2d.apply(x, weight, stride, padding)
    return F.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups)


def product_pays(x: Tensor, weight: Tensor, groups: int) -> bool:
    """Whether a weight gradient will be asked for that a product computes faster. GPUs have good kernels."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and groups == 1
        and weight.shape[1] >= NARROW
        and not (HAS_AVX512 and onednn_is_faster(x, weight))
        and weight.requires_grad
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def onednn_is_faster(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's own gradient of this kernel is, where it may use AVX-512. It has none in double precision."""
    return x.dtype == torch.float32 and weight.shape[2:] == (3, 3) and weight.shape[1] <= AVX512_KEEPS


class TrainedConv2d(torch.autograd.Function):
    """conv2d without bias and groups whose weight gradient is `weight_gradient`."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        return F.conv2d(x, weight, stride=stride, padding=padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Pair, Pair], output: Tensor) -> None:
        x, weight, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.convolution_backward(
                gradient,
                x,
                weight,
                None,
                ctx.stride,
                ctx.padding,
                (1, 1),
                False,
                (0, 0),
                1,
                (True, False, False),
            )[0]
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, gradient, weight.shape[2:], ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def weight_gradient(x: Tensor, gradient: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """(F, C, H, W) and the output's gradient (F, C_out, H', W') -> (C_out, C, kh, kw)"""
    x, gradient = x.movedim(1, -1), gradient.movedim(1, -1)  # (F, H, W, C), (F, H', W', C_out)
    C, C_out = x.shape[-1], gradient.shape[-1]
    (kh, kw), (ph, pw) = kernel, padding
    if kernel == (1, 1) and padding == (0, 0):
        rows = x[:, :: stride[0], :: stride[1]].reshape(-1, C)
        return (gradient.reshape(-1, C_out).t() @ rows)[:, :, None, None]
    frame_bytes = gradient[0, ..., 0].numel() * kh * kw * C * x.element_size()
    num_frames = max(CHUNK_BYTES // max(frame_bytes, 1), 1)
    total = x.new_zeros(C_out, kh * kw * C)
    for frames, part in zip(x.split(num_frames), gradient.split(num_frames), strict=True):
        rows = seen(F.pad(frames, (0, 0, pw, pw, ph, ph)), kernel, stride)
        total = total.addmm_(part.reshape(-1, C_out).t(), rows)
    return total.unflatten(1, (kh, kw, C)).movedim(-1, 1)


def seen(x: Tensor, kernel: Pair, stride: Pair) -> Tensor:
    """What each position of the output sees. (F, H, W, C), padded -> (F * H' * W', kh * kw * C)"""
    windows = x.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])  # (F, H', W', C, kh, kw)
    return windows.movedim(3, -1).flatten(3).flatten(0, 2)
