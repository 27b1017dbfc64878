"""The three modalities: how their pixels become numbers around zero, and what a mirror does to them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# N clips, C channels, T frames, H x W pixels, F mel bins


def mirror(clip: Tensor) -> Tensor:
    """Left and right change places. (..., W) -> (..., W)"""
    return clip.flip(-1)


def mirror_and_negate_u(clip: Tensor) -> Tensor:
    """Mirrored flow: what moved right now moves left. (..., 2, T, H, W) normalised -> the same shape

    Zero must mean no motion, as it does after `normalise`; in 8 bit it would not.
    """
    mirrored = clip.flip(-1)
    return torch.cat([-mirrored[..., :1, :, :, :], mirrored[..., 1:, :, :, :]], dim=-4)


def keep(clip: Tensor) -> Tensor:
    """Sound has no left and right."""
    return clip


@dataclass(frozen=True)
class Modality:
    """Channels of a clip, their mean and deviation on the scale [0, 1], and the effect of a mirror.

    `is_colour`: colour jitter, grey and blur make sense. `is_pixels`: 8 bit images with height and width.
    """

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirror: Callable[[Tensor], Tensor]
    is_colour: bool = False
    is_pixels: bool = True

    def normalise(self, clip: Tensor) -> Tensor:
        """(N, C, T, H, W) float in [0, 1] -> (value - mean) / std; sound passes as it is."""
        if not self.is_pixels:
            return clip
        mean = torch.tensor(self.mean, device=clip.device, dtype=clip.dtype).view(-1, 1, 1, 1)
        std = torch.tensor(self.std, device=clip.device, dtype=clip.dtype).view(-1, 1, 1, 1)
        return (clip - mean).div_(std)


MODALITIES = {
    # Means and deviations of Kinetics-400 frames, as the first author's public code and most others use them.
    "frame": Modality(
        channels=3, mean=(0.4322, 0.3947, 0.3765), std=(0.2280, 0.2215, 0.2170), mirror=mirror, is_colour=True
    ),
    # Flow is stored as 128 + round(f * 127 / bound): zero is exact, and +-bound becomes +-1.
    "flow": Modality(channels=2, mean=(128 / 255,) * 2, std=(127 / 255,) * 2, mirror=mirror_and_negate_u),
    # Log-mel arrives standardised.
    "audio": Modality(channels=1, mean=(0.0,), std=(1.0,), mirror=keep, is_pixels=False),
}
