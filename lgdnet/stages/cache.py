"""One shard of videos decoded once, kept as JPEG at a short side."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lgdnet.artefact import file_digest, provenance
from lgdnet.errors import InputError
from lgdnet.log import progress
from lgdnet.manifest import Manifest, read_manifest
from lgdnet.settings import CacheSettings
from lgdnet.video import iterate_frames
from lgdnet.video.cache import cached_side, write_cache


def run(
    manifest: Path,
    video_root: Path,
    out: Path,
    settings: CacheSettings,
    *,
    shard: int = 0,
    num_shards: int = 1,
) -> None:
    """Write the frames of one shard. The file appears when it is whole; make shards small enough to repeat one."""
    videos = read_manifest(manifest).shard(shard, num_shards)
    about = provenance(settings.model_dump(mode="json"), {"manifest": file_digest(manifest)})
    write_cache(out, frames_of(videos, video_root, settings), quality=settings.quality, provenance=about)


def frames_of(
    videos: Manifest, video_root: Path, settings: CacheSettings
) -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    """(video id, its frames); smaller videos are not enlarged."""
    rows = zip(
        videos.video_ids, videos.paths, videos.num_frames.tolist(), videos.short_sides.tolist(), strict=True
    )
    for video_id, path, num_frames, side in progress(rows, what="cache", total=len(videos), unit="videos"):
        short_side = cached_side(settings.short_side, side)
        yield video_id, counted(video_root / path, num_frames, short_side)


def counted(path: Path, num_frames: int, short_side: int) -> Iterator[np.ndarray]:
    """Every frame, as many as the manifest says."""
    count = 0
    for frame in iterate_frames(path, short_side=short_side):
        count += 1
        yield frame
    if count != num_frames:
        raise InputError(
            f"{path}: {num_frames} frames in the manifest, {count} decode. The file changed since it was probed; "
            "run `snakemake manifest --forcerun manifest`."
        )
