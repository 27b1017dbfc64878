"""A stream's network and its file.

Every stage that runs a network builds it here, so that training, dumping and prediction cannot differ.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from lgdnet.artefact import file_digest
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.statistics import MelStatistics
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.flow import Recipe
from lgdnet.loader.audio import frames_of
from lgdnet.modalities import MODALITIES
from lgdnet.models import FORM_KEY, TwoPathNetwork, build_model, count_gflops, count_parameters, form_of
from lgdnet.settings import TRAIN_KEYS, StreamSettings, changed, parse
from lgdnet.sources import Media, media_like


@dataclass(frozen=True)
class Stream:
    """A trained network with all that is needed to use it."""

    model: TwoPathNetwork
    settings: StreamSettings
    classes: list[str]
    digest: str  # sha256 of the model file
    recipe: Recipe | None = None  # how the flow was made that it learned from
    statistics: MelStatistics | None = None  # of the sound that it learned from

    @cached_property
    def cost(self) -> dict[str, float]:
        """What the leaderboard says of its size: parameters, and GFLOPs (multiply-adds) per clip.

        Counted on a network without values: the trained one may be in another form by now.
        """
        with torch.device("meta"):
            network = network_of(self.settings, len(self.classes)).eval()
        gflops = count_gflops(network, (1, *clip_shape(self.settings)))
        return {"parameters": count_parameters(network), "gflops_per_clip": gflops}

    def media(self, video_root: Path, stored: Sequence[Path] = ()) -> Media:
        """What the clips of new videos are cut from, made as those that it learned from."""
        return media_like(self.settings, video_root, stored, recipe=self.recipe, statistics=self.statistics)


def clip_shape(settings: StreamSettings) -> tuple[int, ...]:
    """(C, T, H, W) of one clip as the network sees it; (1, F, T) of sound."""
    modality = MODALITIES[settings.modality]
    if not modality.is_pixels:
        return modality.channels, NUM_MELS, frames_of(settings.segment_sec)
    return modality.channels, settings.clip_length, settings.crop, settings.crop


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


def write_stream(
    path: Path, model: torch.nn.Module, settings: StreamSettings, classes: Sequence[str], media: Media
) -> None:
    """Weights with the settings and classes that make a network of them again, and what its clips were."""
    weights = model.state_dict()
    about = {
        "settings": changed(settings, TRAIN_KEYS),
        "classes": json.dumps(list(classes)),
        FORM_KEY: json.dumps(form_of(weights)),
    }
    write_model(path, weights, {**about, **media.about()})


def read_stream(path: Path) -> Stream:
    """A trained network, in evaluation mode, on the CPU."""
    weights, about = read_model(path)
    try:
        settings, classes = parse(StreamSettings, about["settings"]), json.loads(about["classes"])
    except KeyError as missing:
        raise CheckpointError(f"{path}: no {missing} in it; not the model file of a stream") from None
    model = network_of(settings, len(classes))
    model.load_state_dict(weights)
    sound = about.get("mel_statistics")
    return Stream(
        model.eval(),
        settings,
        classes,
        file_digest(path),
        recipe=Recipe.from_json(about["flow"]) if "flow" in about else None,
        statistics=MelStatistics.from_json(sound, source=path) if sound else None,
    )
