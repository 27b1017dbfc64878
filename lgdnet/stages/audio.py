"""Videos of one shard in, their log-mel frames and the facts of their sound out."""

import tempfile
from pathlib import Path

import numpy as np

from lgdnet.artefact import file_digest, provenance
from lgdnet.audio.extraction import Noise, extract_all
from lgdnet.audio.reading import SoundFacts
from lgdnet.audio.storage import MelWriter, summary
from lgdnet.log import progress, say, warn
from lgdnet.manifest import Manifest, read_manifest
from lgdnet.settings import AudioSettings

SHORTER_SEC = 0.5  # sound that ends so much before its container says so was cut off


def run(
    *,
    manifest: Path,
    video_root: Path,
    out: Path,
    shard: int = 0,
    num_shards: int = 1,
    settings: AudioSettings,
    num_workers: int = 1,
) -> None:
    """Write one shard. No track, silence and gaps are recorded; a file that does not open is an error.

    An interrupted shard starts again: an hour of sound takes a few seconds.
    """
    videos = read_manifest(manifest).shard(shard, num_shards)
    all_ids = [str(video_id) for video_id in videos.video_ids]
    left_out = [video_id for video_id in all_ids if video_id in settings.leave_out]
    videos = videos.only(~np.isin(all_ids, left_out))
    ids = [str(video_id) for video_id in videos.video_ids]
    files = [video_root / path for path in videos.paths]
    made_by = provenance({"audio": settings.model_dump(mode="json")}, {"manifest": file_digest(manifest)})
    expected = videos.has_audio if "has_audio" in videos.table.columns else np.zeros(len(videos), bool)
    noise = None if settings.noise is None else Noise(settings.noise.snr_db, settings.noise.seed)
    found: list[SoundFacts] = []
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.") as work_dir,
        MelWriter(out, provenance=made_by) as writer,
    ):
        extracted = extract_all(
            list(zip(ids, files, strict=True)),
            Path(work_dir),
            noise=noise,
            num_workers=num_workers,
            timeout_sec=settings.timeout_sec,
            variable_rate=variable_rate_of(videos),
        )
        for sound in progress(extracted, what="audio", total=len(ids), unit="videos"):
            for frames in sound.blocks():
                writer.add_frames(frames)
            writer.end_video(ids[sound.position], sound.facts, sound.frame_times_sec)
            warn_if_cut_off(files[sound.position], sound.facts)
            if expected[sound.position] and not sound.facts.has_audio:
                warn(f"{files[sound.position]}: has a sound track by the manifest, but nothing of it decodes")
            found.append(sound.facts)
        for video_id in left_out:
            writer.end_video(video_id, SoundFacts())
    counts = {**summary(found), "left_out": len(left_out)}
    say("audio: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()))


def variable_rate_of(videos: Manifest) -> dict[str, int]:
    """Number of frames of each video whose frame numbers do not tell its times."""
    if "has_constant_rate" not in videos.table.columns:
        return {}
    is_variable = ~videos.table["has_constant_rate"].to_numpy(bool) & (videos.num_frames > 0)
    return {
        str(videos.video_ids[row]): int(videos.num_frames[row])
        for row in range(len(videos))
        if is_variable[row]
    }


def warn_if_cut_off(path: Path, facts: SoundFacts) -> None:
    """Truncated files give short sound without a complaint from the decoder."""
    if facts.has_audio and facts.declared_sec - facts.duration_sec > SHORTER_SEC:
        warn(f"{path}: {facts.duration_sec:.2f} s of sound, {facts.declared_sec:.2f} s promised; cut off?")
