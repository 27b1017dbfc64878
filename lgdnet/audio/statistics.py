"""Mean and deviation of every mel bin over the training sound: what `standardise` subtracts and divides by.

They come from sums that the audio stage keeps beside its frames, and travel in the model file.

Taken over the training split once, not over each video: a silent stretch then stays silent instead of being
blown up until its rounding noise looks like a sound.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.reading import AudioError
from lgdnet.audio.storage import sums_of

# A bin that hardly moves in training (above the band of telephone sound, say) holds rounding noise of up to
# 0.05 around its floor; dividing by less than this would make features of it. Bins with sound have 1.5 to 4.
SMALLEST_STD = 0.25


@dataclass(frozen=True, eq=False)
class MelStatistics:
    """`mean` and `std`, (NUM_MELS,) float32 each."""

    mean: np.ndarray
    std: np.ndarray

    def standardise(self, mel: np.ndarray) -> np.ndarray:
        """(..., NUM_MELS) -> (mel - mean) / std, float32"""
        return (mel.astype(np.float32) - self.mean) / self.std

    def to_json(self) -> str:
        """For the model file that was trained with them."""
        return json.dumps({"mean": self.mean.tolist(), "std": self.std.tolist()})

    @classmethod
    def from_json(cls, text: str, *, source: Path) -> "MelStatistics":
        """What `to_json` wrote; AudioError names the file it was found in."""
        try:
            content = json.loads(text)
            mean, std = np.array(content["mean"], np.float32), np.array(content["std"], np.float32)
            right = mean.shape == std.shape == (NUM_MELS,) and bool((std > 0).all())
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            raise AudioError(
                f"{source}: its mel statistics are not {NUM_MELS} means and deviations. Train again."
            )
        return cls(mean, std)


def mel_statistics(shards: Sequence[Path]) -> MelStatistics:
    """Over all frames of all audible videos of the training shards."""
    count, total, squares = sums_of(shards)
    if count == 0:
        raise AudioError(
            f"{shards[0] if shards else 'no shard'}: no video of the training split has audible sound. "
            "Take the audio stream out of the config, or check that the videos kept their sound."
        )
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return MelStatistics(mean.astype(np.float32), np.maximum(std, SMALLEST_STD).astype(np.float32))
