"""Mean and deviation of every mel bin over the training sound: what `standardise` subtracts and divides by.

Taken over the training split once, not over each video: a silent stretch then stays silent instead of being
blown up until its rounding noise looks like a sound.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lgdnet.artefact import write_json
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.reading import AudioError
from lgdnet.audio.storage import sums_of

FORMAT = "lgdnet-mel-statistics-1"

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


def write_statistics(path: Path, statistics: MelStatistics, *, provenance: dict[str, str]) -> None:
    """JSON: small, and readable by eye."""
    values = {"mean": statistics.mean.tolist(), "std": statistics.std.tolist()}
    write_json(path, {"format": FORMAT, **values, **provenance})


def read_statistics(path: Path) -> MelStatistics:
    """What `write_statistics` wrote."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file of mel statistics. Make it with `snakemake audio`.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, std = np.array(content["mean"], np.float32), np.array(content["std"], np.float32)
        right = (
            content["format"] == FORMAT and mean.shape == std.shape == (NUM_MELS,) and bool((std > 0).all())
        )
    except (ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise AudioError(
            f"{path}: not a file of mel statistics ({FORMAT}). "
            "Delete it and run `snakemake audio` to make it again."
        )
    return MelStatistics(mean, std)
