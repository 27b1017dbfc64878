"""Videos of one shard in, their log-mel frames and the facts of their sound out."""

import tempfile
from pathlib import Path

import numpy as np

from lgdnet.artefact import file_digest, provenance
from lgdnet.audio.extraction import Noise, extract_all
from lgdnet.audio.shard import write_sounds
from lgdnet.audio.storage import summary
from lgdnet.log import progress, say
from lgdnet.manifest import read_manifest
from lgdnet.settings import AudioSettings


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
    files = [
        (str(video_id), video_root / path)
        for video_id, path in zip(videos.video_ids, videos.paths, strict=True)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.") as work_dir:
        extracted = extract_all(
            files,
            Path(work_dir),
            noise=Noise.of(settings),
            num_workers=num_workers,
            timeout_sec=settings.timeout_sec,
            variable_rate=videos.variable_rate,
        )
        found = write_sounds(
            out,
            files,
            progress(extracted, what="audio", total=len(files), unit="videos"),
            made_by=provenance(
                {"audio": settings.model_dump(mode="json")}, {"manifest": file_digest(manifest)}
            ),
            expected=videos.has_audio.tolist() if "has_audio" in videos.table.columns else None,
            left_out=left_out,
        )
    counts = {**summary(found), "left_out": len(left_out)}
    say("audio: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()))
