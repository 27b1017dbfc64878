"""Colour jitter, grey and blur on whole batches of clips; what is drawn for a clip holds for all its frames.

Plain torch rather than a library: per clip, not per frame; the same draws whatever the batch; and a few
multiplications instead of a conversion of every pixel to HSV and back. Clips are (N, 3, T, H, W) in [0, 1].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lgdnet.augment.draws import per_clip, uniform

# N clips, C channels, T frames, H x W pixels

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# Rotation of the hue turns the chroma plane of YIQ; its rows are Y, I, Q.
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def grey_of(clip: Tensor) -> Tensor:
    """Brightness as the eye weighs it. (N, 3, T, H, W) -> (N, 1, T, H, W)"""
    weights = torch.tensor(LUMA, device=clip.device, dtype=clip.dtype).view(1, 3, 1, 1, 1)
    return (clip * weights).sum(1, keepdim=True)


def blend(clip: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """weight * clip + (1 - weight) * other, within [0, 1]."""
    return (other + weight * (clip - other)).clamp(0, 1)


def brightness(clip: Tensor, factor: Tensor) -> Tensor:
    """Multiply by a factor per clip (N,)."""
    return (clip * per_clip(factor, clip)).clamp(0, 1)


def contrast(clip: Tensor, factor: Tensor) -> Tensor:
    """Away from or towards the clip's mean brightness."""
    return blend(clip, grey_of(clip).mean((1, 2, 3, 4), keepdim=True), per_clip(factor, clip))


def saturation(clip: Tensor, factor: Tensor) -> Tensor:
    """Away from or towards grey."""
    return blend(clip, grey_of(clip), per_clip(factor, clip))


def hue(clip: Tensor, turn: Tensor) -> Tensor:
    """Turn all colours by a share of the circle per clip (N,), brightness kept; as one 3 x 3 matrix per clip."""
    to_yiq = torch.tensor(YIQ, dtype=torch.float64)
    angle = turn.double() * 2 * math.pi
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=-1).view(-1, 3, 3)
    matrix = (torch.linalg.inv(to_yiq) @ rotation @ to_yiq).to(clip.device, clip.dtype)  # (N, 3, 3)
    return torch.einsum("nij,njthw->nithw", matrix, clip).clamp(0, 1)


def colour_jitter(clip: Tensor, seeds: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and saturation by up to +-strength, hue by up to +-strength / 4 of the circle.

    In this order; the original recipe (Chen et al., SimCLR, 2020) shuffles it.
    """
    draws = (uniform(seeds, "colour", 4) * 2 - 1) * strength
    clip = brightness(clip, 1 + draws[:, 0])
    clip = contrast(clip, 1 + draws[:, 1])
    clip = saturation(clip, 1 + draws[:, 2])
    return hue(clip, draws[:, 3] / 4)


def random_grey(clip: Tensor, seeds: Tensor, probability: float) -> Tensor:
    """Take the colour from some clips."""
    chosen = uniform(seeds, "grey", 1)[:, 0] < probability
    return torch.where(per_clip(chosen, clip), grey_of(clip), clip)


def random_blur(clip: Tensor, seeds: Tensor, probability: float) -> Tensor:
    """Gaussian blur of some clips, sigma evenly from 0.1 to 2 pixels per 224 of height (SimCLR)."""
    draws = uniform(seeds, "blur", 2)
    chosen = draws[:, 0] < probability
    if not chosen.any():
        return clip
    sigma = (0.1 + 1.9 * draws[chosen, 1]) * max(clip.shape[-2] / 224, 0.25)
    where = chosen.nonzero()[:, 0].to(clip.device)
    return clip.index_copy(0, where, gaussian_blur(clip[where], sigma))


def gaussian_blur(clip: Tensor, sigma: Tensor) -> Tensor:
    """Blur each clip with its own sigma (N,) in pixels, edges repeated. (N, C, T, H, W) -> the same shape"""
    N, C, T, H, W = clip.shape
    radius = min(math.ceil(3 * float(sigma.max())), H - 1, W - 1)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(clip.device, clip.dtype)  # (N, 2 * radius + 1)
    frames = clip.reshape(N, C * T, H, W).transpose(0, 1)  # (C * T, N, H, W): a clip is a group
    frames = F.pad(frames, (radius, radius, radius, radius), mode="replicate")
    frames = F.conv2d(frames, kernel[:, None, None, :], groups=N)
    frames = F.conv2d(frames, kernel[:, None, :, None], groups=N)
    return frames.transpose(0, 1).reshape(N, C, T, H, W)
