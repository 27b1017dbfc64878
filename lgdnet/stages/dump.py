"""A trained network and a shard of videos in, features and logits of every view out."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from lgdnet.artefact import provenance
from lgdnet.augment import eval_transform
from lgdnet.loader.batches import View, views
from lgdnet.log import progress
from lgdnet.manifest import read_manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models import Output, TwoPathNetwork
from lgdnet.scores import FeaturesWriter
from lgdnet.settings import DumpSettings
from lgdnet.sources import clips_of, rows_without_clips
from lgdnet.streams import read_stream

FRAMES_PER_BATCH = 320  # 20 clips of 16 frames go through the network at once; longer clips, fewer

# V views of one video, C features, K classes


def run(
    *,
    model: Path,
    manifest: Path,
    video_root: Path,
    out: Path,
    flow: Path | None = None,
    shard: int = 0,
    num_shards: int = 1,
    draw: int = 0,
    settings: DumpSettings,
    stored: Sequence[Path] = (),
    threads: int = 1,
) -> None:
    """Write the views of one shard of `manifest`; each `draw` has other clip starts.

    An interrupted dump goes on after its last whole video. `stored` are the files that the flow or audio
    stage made of the shard. A video without sound is written as absent.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stream = read_stream(model)
    network = stream.model.to(device)
    videos = read_manifest(manifest).shard(shard, num_shards)
    source = clips_of(stream.settings, videos, stream.media(video_root, stored))
    source.draw = draw
    writer = FeaturesWriter(
        out,
        video_ids=videos.video_ids,
        num_views=settings.num_clips * settings.num_crops,
        classes=stream.classes,
        provenance=provenance(
            {
                "dump": settings.model_dump(mode="json"),
                "draw": draw,
                "stream": stream.settings.model_dump(mode="json"),
            },
            {"model": stream.digest},
        ),
        checkpoint_digest=stream.digest,
        dtype=settings.dtype,
        cost=stream.cost(),
    )
    transform = eval_transform(MODALITIES[stream.settings.modality])
    with writer:
        absent = rows_without_clips(source)
        todo = range(writer.num_done, len(videos))
        rows = [row for row in todo if row not in absent]
        all_views = views(source, num_clips=settings.num_clips, num_crops=settings.num_crops, rows=rows)
        by_video = groupby(all_views, key=lambda view: view.row)
        for row in progress(todo, what="dump", done=writer.num_done, unit="videos"):
            if row in absent:
                writer.add_absent(videos.video_ids[row])
                continue
            seen = list(next(by_video)[1])
            clips = (transform(part, device) for part in batches_of(seen))
            features_local, features_global, logits = forward(network, clips)
            writer.add(
                videos.video_ids[row],
                [view.start_frame for view in seen],
                [view.crop for view in seen],
                features_local.numpy(),
                None if features_global is None else features_global.numpy(),
                logits.numpy(),
            )


def batches_of(seen: list[View]) -> Iterator[Tensor]:
    """Views of one video, as many together as fit: (n, C, T, H, W) uint8 each, or (n, 1, F, T) of sound."""
    num_frames = seen[0].clip.shape[1] if seen[0].clip.ndim == 4 else 16  # a segment is as large as 16 frames
    together = max(FRAMES_PER_BATCH // num_frames, 1)
    for start in range(0, len(seen), together):
        yield torch.stack([view.clip for view in seen[start : start + together]])


@torch.inference_mode()
def forward(network: TwoPathNetwork, clips: Iterator[Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
    """Features of both paths (V, C), the global ones None without LGD, and logits (V, K), on the CPU."""
    outputs: list[Output] = [network(clip) for clip in clips]
    features_global = [output.features_global for output in outputs]
    return (
        torch.cat([output.features_local for output in outputs]).float().cpu(),
        None if features_global[0] is None else torch.cat(features_global).float().cpu(),  # type: ignore[arg-type]
        torch.cat([output.logits for output in outputs]).float().cpu(),
    )
