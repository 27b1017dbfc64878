"""Videos of one shard in, their log-mel frames and the facts of their sound out."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from lgdnet.artefact import file_digest, provenance
from lgdnet.audio.logmel import log_mel_blocks
from lgdnet.audio.noise import add_white_noise, mean_power, noise_generator
from lgdnet.audio.reading import Sound, SoundFacts
from lgdnet.audio.storage import MelWriter, summary
from lgdnet.log import progress, say, warn
from lgdnet.manifest import read_manifest
from lgdnet.settings import AudioSettings, NoiseSettings

SHORTER_SEC = 0.5  # sound that ends so much before its container says so was cut off


def run(
    *,
    manifest: Path,
    video_root: Path,
    out: Path,
    shard: int = 0,
    num_shards: int = 1,
    settings: AudioSettings,
) -> None:
    """Write one shard. No track, silence and gaps are recorded; a file that does not open is an error.

    An interrupted shard starts again: an hour of sound takes a few seconds.
    """
    torch.set_num_threads(1)
    videos = read_manifest(manifest).shard(shard, num_shards)
    made_by = provenance({"audio": settings.model_dump(mode="json")}, {"manifest": file_digest(manifest)})
    names = list(zip(videos.video_ids.tolist(), videos.paths.tolist(), strict=True))
    found: list[SoundFacts] = []
    with MelWriter(out, provenance=made_by) as writer:
        for video_id, path in progress(names, what="audio", unit="videos"):
            sound = Sound(video_root / path)
            for frames in log_mel_blocks(blocks_of(sound, video_id, settings.noise)):
                writer.add_frames(frames)
            writer.end_video(video_id, sound.facts)
            found.append(sound.facts)
            warn_if_cut_off(video_root / path, sound.facts)
    say("audio: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in summary(found).items()))


def blocks_of(sound: Sound, video_id: str, noise: NoiseSettings | None) -> Iterable[np.ndarray]:
    """The sound, (samples,) blocks, with white noise if asked for; that takes a first pass for its power."""
    if noise is None:
        return sound.blocks()
    return add_white_noise(
        sound.blocks(),
        snr_db=noise.snr_db,
        power=mean_power(Sound(sound.path).blocks()),
        generator=noise_generator(noise.seed, video_id),
    )


def warn_if_cut_off(path: Path, facts: SoundFacts) -> None:
    """Truncated files give short sound without a complaint from the decoder."""
    if facts.has_audio and facts.declared_sec - facts.duration_sec > SHORTER_SEC:
        warn(
            f"{path}: {facts.duration_sec:.2f} s of sound, {facts.declared_sec:.2f} s were promised; cut off?"
        )
