"""What a trained network says of the views of a video, and the file that keeps it.

The dump stage and prediction both come through here, so that they cannot differ.

V views of one video, C features, K classes
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lgdnet.artefact import provenance
from lgdnet.loader.batches import View
from lgdnet.models import Output, TwoPathNetwork
from lgdnet.scores import FeaturesWriter
from lgdnet.settings import DumpSettings
from lgdnet.streams import Stream

FRAMES_PER_BATCH = 320  # 20 clips of 16 frames go through the network at once; longer clips, fewer


class Said(NamedTuple):
    """All views of one video after the network, on the CPU."""

    start_frames: list[int]  # (V,)
    crops: list[int]  # (V,)
    features_local: np.ndarray  # (V, C) float32
    features_global: np.ndarray | None  # (V, C) float32; None without LGD
    logits: np.ndarray  # (V, K) float32


def features_writer(
    out: Path, stream: Stream, settings: DumpSettings, video_ids: Sequence[str] | np.ndarray, *, draw: int = 0
) -> FeaturesWriter:
    """A features file for these videos, with what a learned aggregation compares before it trusts it."""
    return FeaturesWriter(
        out,
        video_ids=video_ids,
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
        cost=stream.cost,
    )


@torch.inference_mode()
def forward(
    network: TwoPathNetwork,
    seen: Iterable[View],
    transform: Callable[[Tensor, torch.device], Tensor],
    device: torch.device,
) -> Said:
    """Features of both paths and logits of all views of one video; few views are in memory at a time."""
    places: list[tuple[int, int]] = []
    outputs: list[Output] = []
    for views in batches_of(seen):
        places += [(view.start_frame, view.crop) for view in views]
        outputs.append(network(transform(torch.stack([view.clip for view in views]), device)))
    features_global = [output.features_global for output in outputs if output.features_global is not None]
    return Said(
        [start for start, _ in places],
        [crop for _, crop in places],
        joined([output.features_local for output in outputs]),
        joined(features_global) if features_global else None,
        joined([output.logits for output in outputs]),
    )


def joined(parts: Sequence[Tensor]) -> np.ndarray:
    """(n, C) of each batch -> (V, C) float32"""
    return torch.cat(list(parts)).float().cpu().numpy()


def batches_of(seen: Iterable[View]) -> Iterator[list[View]]:
    """Views of one video, as many together as fit: clips (C, T, H, W) uint8, or (1, F, T) of sound."""
    views = iter(seen)
    for first in views:
        num_frames = first.clip.shape[1] if first.clip.ndim == 4 else 16  # a segment is as large as 16 frames
        yield list(islice(chain([first], views), max(FRAMES_PER_BATCH // num_frames, 1)))
