"""Pixels on their way into the network: windows on the processor, everything else on whole batches on the
device.

A choice is drawn once per clip and holds for all its frames. Every draw comes from the seeds in the batch, so
it depends neither on workers, nor on ranks, nor on the order of the batch.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from lgdnet.batch import Batch
from lgdnet.clips import Box
from lgdnet.modalities import Modality

# N clips, C channels, T frames, H x W pixels, K classes

Transform = Callable[[Batch, torch.device], tuple[Tensor, Tensor]]


def crop_and_resize(frames: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The same window of every frame, scaled. (T, H, W, C) uint8 -> (C, T, size, size) uint8

    Shrinking averages the area, enlarging is linear. On the processor because every video has its own shape.
    """
    window = frames[:, box.top : box.top + box.height, box.left : box.left + box.width]
    interpolation = cv2.INTER_AREA if min(box.height, box.width) >= size else cv2.INTER_LINEAR
    scaled = [cv2.resize(frame, (size, size), interpolation=interpolation) for frame in window]
    clip = np.stack(scaled).reshape(len(scaled), size, size, -1)  # OpenCV drops a channel axis of one
    return np.ascontiguousarray(clip.transpose(3, 0, 1, 2))


def generator_of(seeds: Tensor, salt: int) -> list[np.random.Generator]:
    """One generator per clip; `salt` separates the augmentations, so that adding one leaves the others as
    they were.
    """
    return [np.random.default_rng([int(seed), salt]) for seed in seeds.tolist()]


def as_float(clip: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]; what is float already passes."""
    return clip.float() / 255 if clip.dtype == torch.uint8 else clip


def flip_some(clip: Tensor, seeds: Tensor, modality: Modality, *, probability: float) -> Tensor:
    """Mirror each normalised clip with a probability. (N, C, T, H, W) -> the same shape"""
    chosen = [generator.random() < probability for generator in generator_of(seeds, 1)]
    flags = torch.tensor(chosen, device=clip.device).view(-1, *[1] * (clip.ndim - 1))
    return torch.where(flags, modality.mirror(clip), clip)


def train_transform(modality: Modality, *, flip: float = 0.5) -> Transform:
    """uint8 batch -> normalised float clip (N, C, T, H, W) and target (N,) on the device.

    `flip`: probability of a mirror image.
    """

    def transform(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        clip = modality.normalise(as_float(batch.clip.to(device, non_blocking=True)))
        if flip:
            clip = flip_some(clip, batch.seed, modality, probability=flip)
        return clip, batch.label.to(device, non_blocking=True)

    return transform


def eval_transform(modality: Modality) -> Callable[[Tensor, torch.device], Tensor]:
    """Views (N, C, T, H, W), already cut to their crops, -> normalised float on the device."""

    def transform(clip: Tensor, device: torch.device) -> Tensor:
        return modality.normalise(as_float(clip.to(device, non_blocking=True)))

    return transform
