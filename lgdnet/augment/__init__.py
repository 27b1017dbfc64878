"""Pixels on their way into the network: windows on the processor, everything else on whole batches on the device.

A choice is drawn once per clip and holds for all its frames. Every draw comes from the seeds in the batch, so
it depends neither on workers, nor on ranks, nor on the order of the batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lgdnet.augment.colour import colour_jitter, random_blur, random_grey
from lgdnet.augment.draws import uniform
from lgdnet.augment.mix import cutmix, mixup, one_hot, random_erase
from lgdnet.augment.rand_augment import rand_augment
from lgdnet.augment.windows import crop_and_resize, resized
from lgdnet.batch import Batch
from lgdnet.modalities import Modality

__all__ = ["Transform", "crop_and_resize", "eval_transform", "resized", "train_transform"]

# N clips, C channels, T frames, H x W pixels, K classes

Transform = Callable[[Batch, torch.device], tuple[Tensor, Tensor]]


def as_float(clip: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]; what is float already passes."""
    return clip.float().div_(255) if clip.dtype == torch.uint8 else clip


def flip_some(clip: Tensor, seeds: Tensor, modality: Modality, *, probability: float) -> Tensor:
    """Mirror each normalised clip with a probability, in place. (N, C, T, H, W) -> the same"""
    rows = (uniform(seeds, "flip", 1)[:, 0] < probability).nonzero()[:, 0].to(clip.device)
    return clip.index_copy_(0, rows, modality.mirror(clip[rows]))


def train_transform(
    modality: Modality,
    *,
    flip: float = 0.5,
    colour: float = 0.0,
    grey: float = 0.0,
    blur: float = 0.0,
    rand_operations: int = 0,
    rand_magnitude: float = 9.0,
    erase: float = 0.0,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
    num_classes: int | None = None,
) -> Transform:
    """uint8 batch -> normalised float clip (N, C, T, H, W) and target (N,), or (N, K) float when mixed.

    `flip`, `grey`, `blur`, `erase`: probabilities. `colour`: strength of the jitter, 0.4 is usual.
    `rand_operations`, `rand_magnitude` (0 to 10): RandAugment. Colour, grey, blur and RandAugment are left out
    where the modality has no colours, erasing and CutMix where it has no pixels. With both alphas above zero,
    half of the batches get MixUp and half CutMix, by the seed of the first clip. Mixing
    needs `num_classes` and labelled clips.
    """
    mixes = [m for m, alpha in ((mixup, mixup_alpha), (cutmix, cutmix_alpha)) if alpha > 0]
    mixes = [m for m in mixes if m is mixup or modality.is_pixels]
    if mixes and num_classes is None:
        raise ValueError("mixup and cutmix need num_classes")

    def transform(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        seeds = batch.seed
        clip = as_float(batch.clip.to(device, non_blocking=True))
        target = batch.label.to(device, non_blocking=True)
        if modality.is_colour:
            if rand_operations:
                clip = rand_augment(clip, seeds, num_operations=rand_operations, magnitude=rand_magnitude)
            clip = colour_jitter(clip, seeds, colour) if colour else clip
            clip = random_grey(clip, seeds, grey) if grey else clip
            clip = random_blur(clip, seeds, blur) if blur else clip
        clip = modality.normalise(clip)
        if flip:
            clip = flip_some(clip, seeds, modality, probability=flip)
        if erase and modality.is_pixels:
            clip = random_erase(clip, seeds, erase)
        if mixes and num_classes is not None:
            mix = mixes[int(seeds[0]) % len(mixes)]
            alpha = mixup_alpha if mix is mixup else cutmix_alpha
            return mix(clip, one_hot(target, num_classes), seeds, alpha)
        return clip, target

    return transform


def eval_transform(modality: Modality) -> Callable[[Tensor, torch.device], Tensor]:
    """Views (N, C, T, H, W), already cut to their crops, -> normalised float on the device."""

    def transform(clip: Tensor, device: torch.device) -> Tensor:
        return modality.normalise(as_float(clip.to(device, non_blocking=True)))

    return transform
