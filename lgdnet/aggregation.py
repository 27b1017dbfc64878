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
from lgdnet.loader.features import FeatureSource
from lgdnet.models.aggregators import AGGREGATORS
from lgdnet.scores import Features
from lgdnet.settings import AggregationSettings, JointSettings, changed, parse


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
