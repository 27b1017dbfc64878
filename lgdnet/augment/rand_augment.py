"""RandAugment (Cubuk et al., 2020) on whole batches: every clip gets its own operations, all its frames the same.

Geometry is one affine map per clip, sampled bilinearly; what comes in from outside is grey. Magnitudes follow
the paper's scale from 0 to 10. For colour clips (N, 3, T, H, W) in [0, 1] only: a rotated picture of motion is
not the motion of a rotated picture.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lgdnet.augment.colour import blend, brightness, contrast, saturation
from lgdnet.augment.draws import generators, per_clip

# N clips, C channels, T frames, H x W pixels

GREY = 0.5


def affine(clip: Tensor, matrix: Tensor) -> Tensor:
    """Sample each clip through its own 2 x 3 matrix (N, 2, 3) in coordinates from -1 to 1."""
    N, C, T, H, W = clip.shape
    grid = F.affine_grid(matrix.to(clip.device, clip.dtype), [N, C * T, H, W], align_corners=False)
    frames = F.grid_sample(clip.reshape(N, C * T, H, W) - GREY, grid, align_corners=False)
    return (frames + GREY).reshape(N, C, T, H, W)


def matrix(a: Tensor, b: Tensor, x: Tensor, c: Tensor, d: Tensor, y: Tensor) -> Tensor:
    """(N, 2, 3) from its entries (N,)."""
    return torch.stack([a, b, x, c, d, y], dim=-1).view(-1, 2, 3)


def rotate(clip: Tensor, amount: Tensor) -> Tensor:
    """By up to 30 degrees, in pixels, not in the stretched coordinates of a wide picture."""
    angle, aspect = amount * math.radians(30), clip.shape[-1] / clip.shape[-2]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return affine(clip, matrix(cos, -sin / aspect, zero, sin * aspect, cos, zero))


def shear_x(clip: Tensor, amount: Tensor) -> Tensor:
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(clip, matrix(one, 0.3 * amount, zero, zero, one, zero))


def shear_y(clip: Tensor, amount: Tensor) -> Tensor:
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(clip, matrix(one, zero, zero, 0.3 * amount, one, zero))


def translate_x(clip: Tensor, amount: Tensor) -> Tensor:
    """By up to 45 % of half the width, as the paper's 100 of 224 pixels."""
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(clip, matrix(one, zero, 0.9 * amount, zero, one, zero))


def translate_y(clip: Tensor, amount: Tensor) -> Tensor:
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return affine(clip, matrix(one, zero, zero, zero, one, 0.9 * amount))


def auto_contrast(clip: Tensor, amount: Tensor) -> Tensor:
    """Stretch every channel of a clip to the full range; it has no magnitude."""
    low, high = clip.amin((2, 3, 4), keepdim=True), clip.amax((2, 3, 4), keepdim=True)
    return torch.where(high > low, (clip - low) / (high - low).clamp(min=1e-6), clip)


def solarize(clip: Tensor, amount: Tensor) -> Tensor:
    """Turn round what is brighter than a threshold that falls from 1 to 0."""
    return torch.where(clip >= 1 - per_clip(amount.abs(), clip), 1 - clip, clip)


def posterize(clip: Tensor, amount: Tensor) -> Tensor:
    """From 8 bits down to 4."""
    levels = per_clip(2 ** (8 - (4 * amount.abs()).round()) - 1, clip)
    return (clip * levels).floor() / levels


def sharpness(clip: Tensor, amount: Tensor) -> Tensor:
    """Towards or away from a 3 x 3 mean."""
    N, C, T, H, W = clip.shape
    frames = F.pad(clip.reshape(N, C * T, H, W), (1, 1, 1, 1), mode="replicate")
    smooth = F.avg_pool2d(frames, 3, stride=1).reshape(N, C, T, H, W)
    return blend(clip, smooth, per_clip(1 + 0.9 * amount, clip))


def by_factor(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """An operation with a factor around 1, from a signed magnitude."""
    return lambda clip, amount: operation(clip, 1 + 0.9 * amount)


# amount (n,) of each chosen clip lies in [-1, 1]; its sign is drawn.
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda clip, amount: clip,
    "rotate": rotate,
    "shear_x": shear_x,
    "shear_y": shear_y,
    "translate_x": translate_x,
    "translate_y": translate_y,
    "auto_contrast": auto_contrast,
    "brightness": by_factor(brightness),
    "contrast": by_factor(contrast),
    "saturation": by_factor(saturation),
    "sharpness": sharpness,
    "solarize": solarize,
    "posterize": posterize,
}


def rand_augment(clip: Tensor, seeds: Tensor, *, num_operations: int, magnitude: float) -> Tensor:
    """`num_operations` random operations on each clip, one after another, at `magnitude` (0 to 10)."""
    names = list(OPERATIONS)
    drawn = [(g.integers(len(names), size=num_operations), g.choice([-1.0, 1.0], num_operations))
             for g in generators(seeds, "rand_augment")]  # fmt: skip
    for turn in range(num_operations):
        for index, name in enumerate(names):
            chosen = [i for i, (operations, _) in enumerate(drawn) if operations[turn] == index]
            if not chosen or name == "identity":
                continue
            signs = torch.tensor([drawn[i][1][turn] for i in chosen], dtype=torch.float32)
            where = torch.tensor(chosen, device=clip.device)
            clip = clip.index_copy(0, where, OPERATIONS[name](clip[where], signs * magnitude / 10))
    return clip
