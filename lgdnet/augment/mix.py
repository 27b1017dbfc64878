"""MixUp, CutMix and random erasing, on normalised clips.

A clip is mixed with its neighbour in the batch of its rank (the first with the last), so the mixture, unlike
everything else here, depends on the batch.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lgdnet.augment.draws import generators, per_clip

# N clips, C channels, T frames, H x W pixels, K classes


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """(N,) -> (N, K) float32"""
    return F.one_hot(label, num_classes).float()


def mixup(clip: Tensor, target: Tensor, seeds: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Weighted mean of two clips and their targets (N, K); weight from Beta(alpha, alpha) (Zhang et al., 2018)."""
    weight = torch.tensor([g.beta(alpha, alpha) for g in generators(seeds, "mixup")], dtype=torch.float32)
    clip = clip + (1 - per_clip(weight, clip)) * (clip.roll(1, 0) - clip)
    share = weight.to(target.device)[:, None]
    return clip, target + (1 - share) * (target.roll(1, 0) - target)


def cutmix(clip: Tensor, target: Tensor, seeds: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """A window of the neighbour in all frames; targets (N, K) by its share of the picture (Yun et al., 2019)."""
    H, W = clip.shape[-2:]
    boxes = [cut_box(H, W, generator, alpha) for generator in generators(seeds, "cutmix")]
    inside = masks(boxes, H, W).to(clip.device)
    clip = torch.where(inside.view(-1, *[1] * (clip.ndim - 3), H, W), clip.roll(1, 0), clip)
    share = inside.float().mean((1, 2))[:, None].to(target.device)
    return clip, target + share * (target.roll(1, 0) - target)


def cut_box(H: int, W: int, generator: np.random.Generator, alpha: float) -> tuple[int, int, int, int]:
    """top, bottom, left, right of a window of share 1 - Beta(alpha, alpha) around a point, cut at the edges."""
    side = (1 - generator.beta(alpha, alpha)) ** 0.5
    y, x = generator.integers(H), generator.integers(W)
    h, w = round(H * side / 2), round(W * side / 2)
    return max(y - h, 0), min(y + h, H), max(x - w, 0), min(x + w, W)


def masks(boxes: list[tuple[int, int, int, int]], H: int, W: int) -> Tensor:
    """True inside the box of each clip. -> (N, H, W) bool"""
    inside = torch.zeros(len(boxes), H, W, dtype=torch.bool)
    for mask, (top, bottom, left, right) in zip(inside, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return inside


def random_erase(clip: Tensor, seeds: Tensor, probability: float) -> Tensor:
    """Set a window of 2 to 33 % of the picture to the mean (0) in all frames of some clips (Zhong et al., 2020)."""
    H, W = clip.shape[-2:]
    boxes = []
    for generator in generators(seeds, "erase"):
        chosen = generator.random() < probability
        area, ratio = (
            generator.uniform(0.02, 0.33) * H * W,
            np.exp(generator.uniform(np.log(0.3), np.log(3.3))),
        )
        h, w = min(round((area * ratio) ** 0.5), H), min(round((area / ratio) ** 0.5), W)
        top, left = int(generator.integers(H - h + 1)), int(generator.integers(W - w + 1))
        boxes.append((top, top + h, left, left + w) if chosen else (0, 0, 0, 0))
    inside = masks(boxes, H, W).to(clip.device).view(-1, *[1] * (clip.ndim - 3), H, W)
    return clip.masked_fill(inside, 0)
