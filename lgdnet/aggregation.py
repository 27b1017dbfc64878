"""What aggregation settings mean: the network over dumped features, its file, and its scores.

The stage that fits and the stage that applies build it here, so that they cannot differ.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lgdnet.artefact import file_digest
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.loader.features import FeatureSource, width_of
from lgdnet.log import progress
from lgdnet.models.aggregators import AGGREGATORS, Pooled
from lgdnet.scores import Features, ScoresError
from lgdnet.scores.errors import check_classes
from lgdnet.settings import AggregationSettings, JointSettings, changed, parse

VIDEOS_PER_BATCH = 256
VIDEOS_PER_NETWORK_BATCH = 64


@dataclass(frozen=True)
class Learned:
    """A trained aggregation network.

    `sources` are the digests of the streams' checkpoints, in order, and `dumps` how each was dumped.
    """

    network: nn.Module
    method: str
    settings: AggregationSettings
    classes: list[str]
    widths: list[int]
    sources: list[str]
    num_clips: int
    dumps: list[dict[str, Any]]
    digest: str  # sha256 of the file
    num_parameters: int


def network_of(
    method: str, settings: AggregationSettings, widths: Sequence[int], num_classes: int
) -> nn.Module:
    """A fresh network over streams of the given widths."""
    build = AGGREGATORS[method].network
    assert build is not None, f"{method} is a pool; there is nothing to build"
    streams = {}
    if isinstance(settings, JointSettings):
        streams = {"stream_width": settings.stream_width, "stream_dropout": settings.stream_dropout}
    return build(widths, num_classes, width=settings.width, dropout=settings.dropout, **streams)


def write_learned(
    path: Path,
    network: nn.Module,
    method: str,
    settings: AggregationSettings,
    source: FeatureSource,
) -> None:
    """Weights with all that makes a network of them again, and what features it was trained on."""
    first = [dumps[0] for dumps in source.streams]
    about = {
        "method": method,
        "settings": changed(settings),
        "classes": json.dumps(first[0].classes),
        "widths": json.dumps(source.widths),
        "sources": json.dumps([features.checkpoint_digest for features in first]),
        "num_clips": json.dumps(source.num_clips),
        "dumps": json.dumps([how_dumped(features) for features in first], sort_keys=True),
    }
    write_model(path, network.state_dict(), about)


def how_dumped(features: Features) -> dict[str, Any]:
    """Settings of a dump that a trained network depends on: not the crops, which it sees one at a time."""
    dump = {
        key: value
        for key, value in features.settings.get("dump", {}).items()
        if key not in ("num_crops", "training_dumps", "dtype")
    }
    return {**{key: value for key, value in features.settings.items() if key != "draw"}, "dump": dump}


def read_learned(path: Path) -> Learned:
    """A trained aggregation, in evaluation mode, on the CPU."""
    weights, about = read_model(path)
    try:
        method = about["method"]
        kind = JointSettings if AGGREGATORS[method].many_streams else AggregationSettings
        settings = parse(kind, about["settings"])
        keys = ("classes", "widths", "sources", "num_clips", "dumps")
        classes, widths, sources, num_clips, dumps = (json.loads(about[key]) for key in keys)
    except KeyError as missing:
        raise CheckpointError(
            f"{path}: no {missing} in it; not the model file of an aggregation, or an old one. Fit it again."
        ) from None
    network = network_of(method, settings, widths, len(classes))
    network.load_state_dict(weights)
    num_parameters = sum(weight.numel() for weight in network.parameters())
    return Learned(
        network=network.eval(),
        method=method,
        settings=settings,
        classes=classes,
        widths=widths,
        sources=sources,
        num_clips=num_clips,
        dumps=dumps,
        digest=file_digest(path),
        num_parameters=num_parameters,
    )


@torch.inference_mode()
def predict(
    network: nn.Module,
    source: FeatureSource,
    num_classes: int,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Log-scores of every video that the source has, of the mean over its crops: (n,) manifest rows, (n, K)."""
    # Filled in place: small results kept between large batches fragment memory.
    scores = np.zeros((len(source), num_classes), np.float32)
    done = 0
    for _, features in source.batches(batch_size):
        n, crops = features.shape[:2]
        clips = torch.from_numpy(features).flatten(0, 1).to(device)  # (n crops, T, D + S)
        of_crops = network(clips).log_softmax(dim=1).unflatten(0, (n, crops))  # (n, crops, K)
        scores[done : done + n] = (of_crops.logsumexp(dim=1) - math.log(crops)).float().cpu().numpy()
        done += n
    return source.usable, scores


# ---- from features to scores


def aggregated(
    streams: Sequence[Features],
    video_ids: np.ndarray,
    *,
    method: str,
    of: Pooled = "scores",
    learned: Learned | None = None,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `video_ids` that have scores, and (n, K) log-scores, joined by id.

    With the learned aggregation over one or more streams that were dumped as it was trained (`check_fits`), else with
    the pool `method` over one stream.
    """
    if learned is not None:
        return apply(learned, streams, video_ids, device)
    (features,) = streams
    return pool(features, video_ids, method=method, of=of)


def pool(
    features: Features, video_ids: np.ndarray, *, method: str, of: Pooled
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the manifest that have scores, and (n, K) log-scores, joined by id."""
    run_pool = AGGREGATORS[method].pool
    assert run_pool is not None
    scores = np.zeros((len(features), len(features.classes)), np.float32)
    starts = range(0, len(features), VIDEOS_PER_BATCH)
    shown = progress(starts, what=f"aggregate {method}", unit="batches") if len(starts) > 1 else starts
    for start in shown:
        stop = min(start + VIDEOS_PER_BATCH, len(features))
        logits = features.read_range("logits", start, stop)
        scores[start:stop] = run_pool(logits, of=of) if method == "average_pool" else run_pool(logits)
    where = {video_id: row for row, video_id in enumerate(features.video_ids.tolist())}
    stored = np.fromiter((where[video_id] for video_id in video_ids.tolist()), np.int64, len(video_ids))
    rows = np.flatnonzero(features.present[stored])
    return rows, scores[stored[rows]]


def apply(
    learned: Learned, streams: Sequence[Features], video_ids: np.ndarray, device: torch.device | str
) -> tuple[np.ndarray, np.ndarray]:
    """Log-scores of a learned aggregation."""
    unlabelled = np.full(len(video_ids), -1)
    source = FeatureSource(
        [[features] for features in streams],
        video_ids,
        unlabelled,
        learned.settings.features,
        known_widths=learned.widths,
    )
    return predict(
        learned.network.to(device),
        source,
        len(learned.classes),
        batch_size=VIDEOS_PER_NETWORK_BATCH,
        device=device,
    )


def check_fits(learned: Learned, method: str, streams: Sequence[Features], model: Path) -> None:
    """A `ScoresError` where features are not like those that the aggregation was trained on."""
    if learned.method != method:
        raise ScoresError(
            f"{model}: trained as {learned.method}, not {method}. Say --method {learned.method}."
        )
    if len(streams) != len(learned.sources):
        raise ScoresError(
            f"{model}: trained on {len(learned.sources)} streams, but {len(streams)} were given. Give one dump of each."
        )
    cure = "Fit the aggregation again, or dump again."
    for features, digest_of, dump, width in zip(
        streams, learned.sources, learned.dumps, learned.widths, strict=True
    ):
        path = features.paths[0]
        if features.checkpoint_digest != digest_of:
            raise ScoresError(
                f"{path}: dumped with checkpoint {features.checkpoint_digest[:12]}, but {model} was "
                f"trained on features of {digest_of[:12]}. {cure}"
            )
        check_classes(path, features.classes, learned.classes, model)
        if how_dumped(features) != dump:
            raise ScoresError(
                f"{path}: dumped with {json.dumps(how_dumped(features), sort_keys=True)}, but {model} was trained on "
                f"features dumped with {json.dumps(dump, sort_keys=True)}. {cure}"
            )
        if not features.present.any():
            continue  # a stream that is silent all through has no width and no crops
        found = (features.num_clips, width_of(features, learned.settings.features))
        if found != (learned.num_clips, width):
            raise ScoresError(
                f"{path}: {found[0]} clips of {found[1]} features, but {model} was trained on {learned.num_clips} "
                f"of {width}. {cure}"
            )
