"""Random changes of log-mel segments, on whole batches on the device.

Every draw comes from the seeds in the batch, so it depends neither on workers, nor on ranks, nor on the order
of the batch. N segments, F mel bins, T log-mel frames.
"""

import numpy as np
import torch
from torch import Tensor

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


def in_any_span(starts: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Which of `size` positions lie in any of a row's spans: (N, spans) starts in [0, 1), lengths -> (N, size).

    A start of 0 is the beginning and 1 the last place where the span still fits; lengths are rounded down.
    """
    lengths = lengths.floor().clamp(max=size)
    begin = (starts * (size - lengths + 1)).floor()
    place = torch.arange(size, device=starts.device)
    inside = (place >= begin[..., None]) & (place < (begin + lengths)[..., None])  # (N, spans, size)
    return inside.any(1)
