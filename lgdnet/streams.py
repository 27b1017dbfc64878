"""What the settings of a stream mean: its network, its clips, its transforms, its file.

Every stage that runs a network builds it here, so that training, dumping and prediction cannot differ.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lgdnet.artefact import file_digest
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.loader.frames import FrameSource
from lgdnet.manifest import Manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models import TwoPathNetwork, build_model, count_gflops, count_parameters
from lgdnet.settings import TRAIN_KEYS, StreamSettings, changed, parse


@dataclass(frozen=True)
class Stream:
    """A trained network with all that is needed to use it."""

    model: TwoPathNetwork
    settings: StreamSettings
    classes: list[str]
    digest: str  # sha256 of the model file

    def cost(self) -> dict[str, float]:
        """What the leaderboard says of its size: parameters, and GFLOPs (multiply-adds) per clip."""
        gflops = count_gflops(self.model, (1, *clip_shape(self.settings)))
        return {"parameters": count_parameters(self.model), "gflops_per_clip": gflops}


def clip_shape(settings: StreamSettings) -> tuple[int, int, int, int]:
    """(C, T, H, W) of one clip as the network sees it."""
    channels = MODALITIES[settings.modality].channels
    return channels, settings.clip_length, settings.crop, settings.crop


def network_of(settings: StreamSettings, num_classes: int) -> TwoPathNetwork:
    """A fresh network of a stream."""
    return build_model(
        settings.backbone,
        in_channels=MODALITIES[settings.modality].channels,
        num_classes=num_classes,
        order=settings.order,
        head=settings.head,
        width=settings.width,
        dropout=settings.train.dropout,
        checkpointing=settings.train.activation_checkpointing,
    )


def clips_of(settings: StreamSettings, manifest: Manifest, video_root: Path) -> FrameSource:
    """Clips of the videos of a manifest, in the stream's shape: random ones, or evenly spaced views."""
    return FrameSource(
        manifest,
        video_root,
        clip_length=settings.clip_length,
        frame_stride=settings.frame_stride,
        size=settings.crop,
        short_side=settings.short_side,
        area=settings.train.augment.area,
        ratio=settings.train.augment.aspect_ratio,
    )


def write_stream(
    path: Path, model: torch.nn.Module, settings: StreamSettings, classes: Sequence[str]
) -> None:
    """Weights with the settings and classes that make a network of them again."""
    about = {"settings": changed(settings, TRAIN_KEYS), "classes": json.dumps(list(classes))}
    write_model(path, model.state_dict(), about)


def read_stream(path: Path) -> Stream:
    """A trained network, in evaluation mode, on the CPU."""
    weights, about = read_model(path)
    try:
        settings, classes = parse(StreamSettings, about["settings"]), json.loads(about["classes"])
    except KeyError as missing:
        raise CheckpointError(f"{path}: no {missing} in it; not the model file of a stream") from None
    model = network_of(settings, len(classes))
    model.load_state_dict(weights)
    return Stream(model.eval(), settings, classes, file_digest(path))
