"""What travels from the loader to the device."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One training batch. N clips, C channels, T frames, H x W pixels, F mel bins."""

    clip: Tensor  # (N, C, T, H, W) uint8 for frame and flow; (N, 1, F, T) float32 log-mel for audio
    label: Tensor  # (N,) int64 class index, -1 where unlabelled
    row: Tensor  # (N,) int64 row of the manifest
    seed: Tensor  # (N,) int64 from (seed, epoch, row, clip): augmentation on the device draws from it
