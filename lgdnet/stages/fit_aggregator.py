"""Features of the training split -> a network that makes one score of a video's clips (TCP and its kin)."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from lgdnet.aggregation import network_of, write_learned
from lgdnet.artefact import digest
from lgdnet.batch import Batch
from lgdnet.checkpoint import Checkpoints
from lgdnet.history import History
from lgdnet.loader.batches import batches, steps_per_epoch
from lgdnet.loader.features import FeatureSource, group_dumps
from lgdnet.log import say
from lgdnet.optimizer import build_optimizer
from lgdnet.schedules import learning_rate
from lgdnet.scores import Features, ScoresError, read_features
from lgdnet.scores.labels import check_labels, read_labels
from lgdnet.settings import AggregationSettings, JointSettings, changed
from lgdnet.trainer import train


def run(
    dumps: Sequence[Sequence[Path]],
    manifest: Path,
    out: Path,
    *,
    method: str,
    settings: AggregationSettings,
    threads: int = 1,
) -> None:
    """Train on all dumps: each a list of shards. Dumps of one checkpoint are draws of one stream.

    Checkpoints and history.csv lie beside `out`; an interrupted run goes on at the exact step. The weights kept
    are those of the last step: no label but those of the training split is looked at.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels = read_labels(manifest)
    streams = group_dumps([read_features(shards) for shards in dumps])
    first = streams[0][0]
    check_labels(labels, first.classes, first.paths[0])
    check_streams(streams, settings)
    source = FeatureSource(streams, labels.video_ids, labels.labels, settings.features)
    say(f"{method}: {len(source)} videos, {source.num_clips} clips, streams of {source.widths} features")

    torch.manual_seed(settings.seed)
    network = network_of(method, settings, source.widths, len(first.classes))
    batch_size = min(settings.batch_size, len(source))
    per_epoch = steps_per_epoch(len(source), batch_size=batch_size)
    num_steps = max(round(settings.epochs * per_epoch), 1)
    sources = [dumps_of_stream[0].checkpoint_digest for dumps_of_stream in streams]
    identity = digest([method, changed(settings), sources, labels.video_ids.tolist(), num_steps])
    folder = out.with_name(out.stem + "-training")
    trained = train(
        network,
        batches_from=partial(batches_from, source, batch_size, settings.seed),
        transform=to_device,
        loss=nn.functional.cross_entropy,
        optimizer=build_optimizer(
            network, "adamw", weight_decay=settings.weight_decay, decay_norm_and_bias=False
        ),
        learning_rate=partial(
            learning_rate, peak=settings.learning_rate, num_steps=num_steps, warmup_steps=num_steps // 10
        ),
        num_steps=num_steps,
        steps_per_epoch=per_epoch,
        checkpoints=Checkpoints(folder / "checkpoints", identity=identity),
        history=History(folder / "history.csv"),
        device=device,
        seed=settings.seed,
        clip_norm=1.0,
        video_ids=labels.video_ids[source.usable].tolist(),
    )
    write_learned(out, trained.cpu(), method, settings, source)


def check_streams(streams: Sequence[Sequence[Features]], settings: AggregationSettings) -> None:
    """As many checkpoints as streams (one, or those that a joint network names), each with something to say."""
    expected = len(settings.streams) if isinstance(settings, JointSettings) else 1
    if len(streams) != expected:
        given = ", ".join(str(dumps[0].paths[0]) for dumps in streams)
        raise ScoresError(
            f"features of {len(streams)} checkpoints instead of {expected}: {given}. Dumps of one checkpoint are "
            f"draws of one stream; give those of every stream, each once."
        )
    for dumps in streams:
        if not dumps[0].present.any():
            raise ScoresError(
                f"{dumps[0].paths[0]}: no video has features (is all of it silent?), so nothing can be learned from "
                f"it. Leave this stream out."
            )


def batches_from(source: FeatureSource, batch_size: int, seed: int, step: int) -> Iterator[Batch]:
    """Training batches from a step on."""
    return batches(source, batch_size=batch_size, seed=seed, start_step=step)


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Features need no transform."""
    return batch.clip.to(device), batch.label.to(device)
