"""Random numbers for clips: one generator per clip and kind of augmentation."""

import numpy as np
import torch
from torch import Tensor

# N clips

# Separate streams of numbers, so that switching one augmentation on leaves the others as they were.
SALTS = {"flip": 1, "colour": 2, "grey": 3, "blur": 4, "rand_augment": 5, "erase": 6, "mixup": 7, "cutmix": 8}


def generators(seeds: Tensor, kind: str) -> list[np.random.Generator]:
    """One generator per clip. (N,) int64"""
    return [np.random.default_rng([int(seed), SALTS[kind]]) for seed in seeds.tolist()]


def uniform(seeds: Tensor, kind: str, count: int) -> Tensor:
    """Numbers in [0, 1), `count` per clip. -> (N, count) float32 on the CPU"""
    return torch.tensor(np.stack([g.random(count) for g in generators(seeds, kind)]), dtype=torch.float32)


def per_clip(values: Tensor, clip: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1, ...) on the clip's device, ready to multiply it."""
    return values.to(clip.device, clip.dtype if values.is_floating_point() else values.dtype).view(
        -1, *[1] * (clip.ndim - 1)
    )
