"""White noise at a given level: sound that is as hard as an experiment wants it."""

from collections.abc import Iterable, Iterator
from zlib import crc32

import numpy as np


def mean_power(blocks: Iterable[np.ndarray]) -> float:
    """Mean square of all samples, (samples,) each; 0 where there are none."""
    total, count = 0.0, 0
    for block in blocks:
        total += float(np.square(block, dtype=np.float64).sum())
        count += len(block)
    return total / count if count else 0.0


def noise_generator(seed: int, video_id: str) -> np.random.Generator:
    """The noise of one video: its own, and the same whatever else is read, in whatever order."""
    return np.random.default_rng([seed, crc32(video_id.encode())])


def add_white_noise(
    blocks: Iterable[np.ndarray], *, snr_db: float, power: float, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Blocks plus Gaussian noise whose power lies `snr_db` decibels below `power`, the sound's mean square.

    (samples,) float32 each. Digital silence stays silent: no noise is 0 dB below nothing.
    """
    deviation = np.float32(np.sqrt(power * 10.0 ** (-snr_db / 10.0)))
    for block in blocks:
        yield block + deviation * generator.standard_normal(len(block), np.float32)
