"""What aggregation settings mean: the network over dumped features, its file, and its scores.

The stage that fits and the stage that applies build it here, so that they cannot differ.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lgdnet.artefact import file_digest
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.loader.features import FeatureSource
from lgdnet.models.aggregators import AGGREGATORS
from lgdnet.settings import AggregationSettings, JointSettings, changed, parse


@dataclass(frozen=True)
class Learned:
    """A trained aggregation network. `sources` are the digests of the streams' checkpoints, in order."""

    network: nn.Module
    method: str
    settings: AggregationSettings
    classes: list[str]
    widths: list[int]
    sources: list[str]
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
    *,
    classes: Sequence[str],
    widths: Sequence[int],
    sources: Sequence[str],
) -> None:
    """Weights with all that makes a network of them again."""
    about = {
        "method": method,
        "settings": changed(settings),
        "classes": json.dumps(list(classes)),
        "widths": json.dumps(list(widths)),
        "sources": json.dumps(list(sources)),
    }
    write_model(path, network.state_dict(), about)


def read_learned(path: Path) -> Learned:
    """A trained aggregation, in evaluation mode, on the CPU."""
    weights, about = read_model(path)
    try:
        method = about["method"]
        kind = JointSettings if AGGREGATORS[method].many_streams else AggregationSettings
        settings = parse(kind, about["settings"])
        classes, widths, sources = (json.loads(about[key]) for key in ("classes", "widths", "sources"))
    except KeyError as missing:
        raise CheckpointError(f"{path}: no {missing} in it; not the model file of an aggregation") from None
    network = network_of(method, settings, widths, len(classes))
    network.load_state_dict(weights)
    num_parameters = sum(weight.numel() for weight in network.parameters())
    return Learned(
        network.eval(), method, settings, classes, widths, sources, file_digest(path), num_parameters
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
