"""Random changes of log-mel segments, on whole batches on the device.

Every draw comes from the seeds in the batch, so it depends neither on workers, nor on ranks, nor on the order
of the batch. N segments, F mel bins, T log-mel frames.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lgdnet.batch import Batch

SALT = 101  # apart from the draws of other augmentations with the same seeds


def spec_augment(
    clip: Tensor,
    seeds: Tensor,
    *,
    num_masks: int = 2,
    max_mask_bins: int = 24,
    max_mask_frames: float = 0.2,
    max_gain: float = 0.0,
) -> Tensor:
    """SpecAugment (Park et al. 2019) without warping: standardised (N, 1, F, T), (N,) seeds -> (N, 1, F, T).

    `num_masks` bands of up to `max_mask_bins` mel bins and as many stretches of up to the share
    `max_mask_frames` of all frames become 0, the mean of the training sound. `max_gain` adds one number drawn
    from +-max_gain to a whole segment: louder or softer, in standard deviations.
    """
    _, _, F, T = clip.shape
    draws = np.stack(
        [np.random.default_rng([int(s), SALT]).random(4 * num_masks + 1) for s in seeds.tolist()]
    )
    uniform = torch.from_numpy(draws[:, 1:].astype(np.float32)).to(clip.device)  # (N, 4 masks)
    gain = torch.from_numpy(((2 * draws[:, 0] - 1) * max_gain).astype(np.float32)).to(clip.device, clip.dtype)
    bins, bin_starts, frames, frame_starts = uniform.split(num_masks, dim=1) if num_masks else [uniform] * 4
    masked_bins = in_any_span(bin_starts, bins * max_mask_bins, F)  # (N, F)
    masked_frames = in_any_span(frame_starts, frames * (max_mask_frames * T), T)  # (N, T)
    masked = masked_bins[:, None, :, None] | masked_frames[:, None, None, :]
    return torch.where(
        masked, torch.zeros((), device=clip.device, dtype=clip.dtype), clip + gain.view(-1, 1, 1, 1)
    )


def sound_transform(
    *,
    num_classes: int,
    num_masks: int = 2,
    max_mask_bins: int = 24,
    max_mask_frames: float = 0.2,
    max_gain: float = 0.0,
    mixup: float = 0.0,
) -> Callable[[Batch, torch.device], tuple[Tensor, Tensor]]:
    """Training batch -> changed segments (N, 1, F, T) and target (N,), or (N, K) where they are mixed."""

    def transform(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        clip, label = batch.clip.to(device, non_blocking=True), batch.label.to(device, non_blocking=True)
        target = label
        if mixup:
            clip, target = mix_up(clip, label, batch.seed, alpha=mixup, num_classes=num_classes)
        clip = spec_augment(
            clip,
            batch.seed,
            num_masks=num_masks,
            max_mask_bins=max_mask_bins,
            max_mask_frames=max_mask_frames,
            max_gain=max_gain,
        )
        return clip, target

    return transform


def mix_up(
    clip: Tensor, label: Tensor, seeds: Tensor, *, alpha: float, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Each segment with the next one of the batch, the last with the first (Zhang et al. 2018).

    (N, 1, F, T), (N,) -> share * x + (1 - share) * x', and the same of the one-hot labels (N, K). The share is
    Beta(alpha, alpha), the larger part always the segment itself.
    """
    draws = [np.random.default_rng([int(seed), SALT + 1]).beta(alpha, alpha) for seed in seeds.tolist()]
    share = torch.tensor([max(x, 1 - x) for x in draws], dtype=clip.dtype, device=clip.device)
    own = torch.nn.functional.one_hot(label, num_classes).to(clip.dtype)
    mixed = torch.lerp(clip.roll(-1, 0), clip, share.view(-1, *[1] * (clip.ndim - 1)))
    return mixed, torch.lerp(own.roll(-1, 0), own, share[:, None])


def in_any_span(starts: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Which of `size` positions lie in any of a row's spans: (N, spans) starts in [0, 1), lengths -> (N, size).

    A start of 0 is the beginning and 1 the last place where the span still fits; lengths are rounded down.
    """
    lengths = lengths.floor().clamp(max=size)
    begin = (starts * (size - lengths + 1)).floor()
    place = torch.arange(size, device=starts.device)
    inside = (place >= begin[..., None]) & (place < (begin + lengths)[..., None])  # (N, spans, size)
    return inside.any(1)
