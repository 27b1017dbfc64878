"""What the settings of a stream mean: its network, its clips, its transforms, its file.

Every stage that runs a network builds it here, so that training, dumping and prediction cannot differ.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lgdnet.artefact import file_digest
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.flow import FlowError, FlowShard, Recipe, default_algorithm, flow_files
from lgdnet.loader.flow import FlowSource, computed_fields, stored_fields
from lgdnet.loader.frames import FrameSource
from lgdnet.manifest import Manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models import TwoPathNetwork, build_model, count_gflops, count_parameters
from lgdnet.settings import TRAIN_KEYS, FlowSettings, StreamSettings, changed, parse


@dataclass(frozen=True)
class Stream:
    """A trained network with all that is needed to use it."""

    model: TwoPathNetwork
    settings: StreamSettings
    classes: list[str]
    digest: str  # sha256 of the model file
    recipe: Recipe | None = None  # how the flow was made that it learned from

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


@dataclass(frozen=True)
class Media:
    """Where the clips of a split come from: its videos, or what was made of them."""

    video_root: Path
    flow: Path | None = None
    """A flow file, or the folder of all flow files of the split; None where flow is computed on the fly."""
    recipe: Recipe | None = None
    """How the flow is, or has to be, made; of flow streams."""


def media_of(
    settings: StreamSettings, video_root: Path, flow: Path | None, wanted: FlowSettings | Recipe
) -> Media:
    """The media of a split; for flow streams with the recipe that `wanted` asks for, or an error."""
    if settings.modality != "flow":
        return Media(video_root)
    if settings.flow_on_the_fly:
        flow = None
    elif flow is None:
        raise FlowError("a flow stream needs flow files (--flow), or the setting flow_on_the_fly: true")
    if isinstance(wanted, Recipe):
        return Media(video_root, flow, wanted)
    return Media(video_root, flow, recipe_wanted(wanted, flow))


def recipe_wanted(wanted: FlowSettings, flow: Path | None) -> Recipe:
    """What the settings ask for; `auto` is either default, the one that the files in `flow` were made with."""
    algorithm: str = wanted.algorithm
    if algorithm == "auto":
        defaults = [default_algorithm(device) for device in ("cpu", "cuda")]
        files = flow_files(flow) if flow is not None else []
        found = FlowShard(files[0]).recipe.algorithm if files else defaults[0]
        algorithm = found if found in defaults else defaults[0]
    return Recipe.of(
        algorithm,
        wanted.parameters,
        bound=wanted.bound,
        short_side=wanted.short_side,
        quality=wanted.quality,
    )


def clips_of(settings: StreamSettings, manifest: Manifest, media: Media) -> FrameSource | FlowSource:
    """Clips of the videos of a manifest, in the stream's shape: random ones, or evenly spaced views."""
    return SOURCES[settings.modality](settings, manifest, media)


def flow_clips(settings: StreamSettings, manifest: Manifest, media: Media) -> FlowSource:
    assert media.recipe is not None, "media_of() gives a flow stream its recipe"
    if media.flow is None:
        read_fields = computed_fields(manifest, media.video_root, media.recipe)
    else:
        read_fields = stored_fields(flow_files(media.flow), manifest, expected=media.recipe)
    return FlowSource(
        manifest,
        read_fields,
        clip_length=settings.clip_length,
        frame_stride=settings.frame_stride,
        size=settings.crop,
        short_side=settings.short_side,
        area=settings.train.augment.area,
        ratio=settings.train.augment.aspect_ratio,
    )


def frame_clips(settings: StreamSettings, manifest: Manifest, media: Media) -> FrameSource:
    return FrameSource(
        manifest,
        media.video_root,
        clip_length=settings.clip_length,
        frame_stride=settings.frame_stride,
        size=settings.crop,
        short_side=settings.short_side,
        area=settings.train.augment.area,
        ratio=settings.train.augment.aspect_ratio,
    )


SOURCES: dict[str, Callable[[StreamSettings, Manifest, Media], FrameSource | FlowSource]] = {
    "frame": frame_clips,
    "flow": flow_clips,
}


def write_stream(
    path: Path,
    model: torch.nn.Module,
    settings: StreamSettings,
    classes: Sequence[str],
    *,
    recipe: Recipe | None = None,
) -> None:
    """Weights with the settings and classes that make a network of them again, and how its flow was made."""
    about = {"settings": changed(settings, TRAIN_KEYS), "classes": json.dumps(list(classes))}
    if recipe is not None:
        about["flow"] = recipe.to_json()
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
    recipe = Recipe.from_json(about["flow"]) if "flow" in about else None
    return Stream(model.eval(), settings, classes, file_digest(path), recipe)
