"""A trained network and a shard of videos in, features and logits of every view out."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import torch

from lgdnet.augment import eval_transform
from lgdnet.dumping import features_writer, forward
from lgdnet.loader.batches import views
from lgdnet.log import progress
from lgdnet.manifest import read_manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models import for_inference
from lgdnet.pages import keep_pages
from lgdnet.settings import DumpSettings
from lgdnet.sources import clips_of, rows_without_clips
from lgdnet.streams import read_stream


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
    if device.type == "cpu":
        keep_pages()
    network = for_inference(stream.model.to(device))
    videos = read_manifest(manifest).shard(shard, num_shards)
    source = clips_of(stream.settings, videos, stream.media(video_root, stored))
    source.draw = draw
    writer = features_writer(out, stream, settings, videos.video_ids, draw=draw)
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
            said = forward(network, next(by_video)[1], transform, device)
            writer.add(videos.video_ids[row], *said)
