"""What the settings of a stream mean: its network, its clips, its transforms, its file.

Every stage that runs a network builds it here, so that training, dumping and prediction cannot differ.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lgdnet.artefact import file_digest
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.reading import AudioError
from lgdnet.audio.statistics import MelStatistics, mel_statistics
from lgdnet.audio.storage import MelStore
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.flow import FlowError, FlowShard, Recipe, default_algorithm
from lgdnet.loader.audio import AudioSource, frames_of
from lgdnet.loader.flow import FlowSource, computed_fields, stored_fields
from lgdnet.loader.frames import FrameSource
from lgdnet.log import say
from lgdnet.manifest import Manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models import TwoPathNetwork, build_model, count_gflops, count_parameters
from lgdnet.settings import TRAIN_KEYS, FlowSettings, StreamSettings, changed, parse

Source = FrameSource | FlowSource | AudioSource
Basis = MelStatistics | Recipe | None
"""What clips must be made with to suit a network: statistics of its training sound, the recipe of its flow."""


@dataclass(frozen=True)
class Stream:
    """A trained network with all that is needed to use it."""

    model: TwoPathNetwork
    settings: StreamSettings
    classes: list[str]
    digest: str  # sha256 of the model file
    basis: Basis = None

    def cost(self) -> dict[str, float]:
        """What the leaderboard says of its size: parameters, and GFLOPs (multiply-adds) per clip."""
        gflops = count_gflops(self.model, (1, *clip_shape(self.settings)))
        return {"parameters": count_parameters(self.model), "gflops_per_clip": gflops}


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


def clips_of(
    settings: StreamSettings,
    manifest: Manifest,
    video_root: Path,
    *,
    stored: Sequence[Path] = (),
    basis: Basis = None,
) -> Source:
    """Clips of the videos of a manifest, in the stream's shape: random ones, or evenly spaced views.

    `stored` are the files that the flow or the audio stage made of this manifest.
    """
    return SOURCES[settings.modality](settings, manifest, video_root, stored, basis)


def frame_clips(
    settings: StreamSettings, manifest: Manifest, video_root: Path, stored: Sequence[Path], basis: Basis
) -> FrameSource:
    """From the videos themselves."""
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


def flow_clips(
    settings: StreamSettings, manifest: Manifest, video_root: Path, stored: Sequence[Path], basis: Basis
) -> FlowSource:
    """From flow files made by the recipe in `basis`, or by that recipe on the fly."""
    if not isinstance(basis, Recipe):
        raise FlowError(f"{manifest.path}: no recipe for flow; train the flow stream again.")
    if settings.flow_on_the_fly:
        read_fields = computed_fields(manifest, video_root, basis)
    elif stored:
        read_fields = stored_fields(stored, manifest, expected=basis)
    else:
        raise FlowError(
            f"{manifest.path}: a flow stream needs the files of the flow stage; name them with --stored, or set "
            "flow_on_the_fly: true."
        )
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


def sound_clips(
    settings: StreamSettings, manifest: Manifest, video_root: Path, stored: Sequence[Path], basis: Basis
) -> AudioSource:
    """From log-mel files, standardised as the training sound was."""
    if not isinstance(basis, MelStatistics):
        raise AudioError(f"{manifest.path}: no mel statistics; train the audio stream again.")
    return AudioSource(
        manifest,
        sound_of(manifest, stored),
        basis,
        segment_frames=frames_of(settings.segment_sec),
        clip_length=settings.clip_length,
        frame_stride=settings.frame_stride,
    )


SOURCES: dict[str, Callable[[StreamSettings, Manifest, Path, Sequence[Path], Basis], Source]] = {
    "frame": frame_clips,
    "flow": flow_clips,
    "audio": sound_clips,
}


def sound_of(manifest: Manifest, stored: Sequence[Path]) -> MelStore:
    """The log-mel frames of a manifest's videos."""
    if not stored:
        raise AudioError(
            f"{manifest.path}: an audio stream needs the files of the audio stage; name them with --stored."
        )
    return MelStore(stored)


def videos_to_train(settings: StreamSettings, manifest: Manifest, stored: Sequence[Path]) -> Manifest:
    """The videos that have something for this stream: all but, for sound, those that cannot be heard."""
    if settings.modality != "audio":
        return manifest
    store = sound_of(manifest, stored)
    audible = np.array([store.facts(video_id).is_audible for video_id in manifest.video_ids], bool)
    if not audible.all():
        say(
            f"{manifest.path}: {(~audible).sum()} of {len(audible)} videos cannot be heard; left out of training"
        )
    return manifest.only(audible)


def basis_of(settings: StreamSettings, stored: Sequence[Path], flow: FlowSettings) -> Basis:
    """What the clips of a new network are made with."""
    if settings.modality == "audio":
        return mel_statistics(stored)
    if settings.modality == "flow":
        return recipe_wanted(flow, () if settings.flow_on_the_fly else stored)
    return None


def recipe_wanted(wanted: FlowSettings, stored: Sequence[Path]) -> Recipe:
    """What the settings ask for; `auto` is either default, the one that the files were made with."""
    algorithm: str = wanted.algorithm
    if algorithm == "auto":
        defaults = [default_algorithm(device) for device in ("cpu", "cuda")]
        found = FlowShard(stored[0]).recipe.algorithm if stored else defaults[0]
        algorithm = found if found in defaults else defaults[0]
    return Recipe.of(
        algorithm,
        wanted.parameters,
        bound=wanted.bound,
        short_side=wanted.short_side,
        quality=wanted.quality,
    )


def rows_without_clips(source: Source) -> set[int]:
    """Rows of videos that have nothing for this stream: no sound track, or a silent one."""
    return set(range(len(source))) - set(source.rows) if isinstance(source, AudioSource) else set()


def write_stream(
    path: Path,
    model: torch.nn.Module,
    settings: StreamSettings,
    classes: Sequence[str],
    *,
    basis: Basis = None,
) -> None:
    """Weights with the settings and classes that make a network of them again, and the basis of its clips."""
    about = {"settings": changed(settings, TRAIN_KEYS), "classes": json.dumps(list(classes))}
    if basis is not None:
        about["flow_recipe" if isinstance(basis, Recipe) else "mel_statistics"] = basis.to_json()
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
    basis: Basis = None
    if "mel_statistics" in about:
        basis = MelStatistics.from_json(about["mel_statistics"], source=path)
    if "flow_recipe" in about:
        basis = Recipe.from_json(about["flow_recipe"])
    return Stream(model.eval(), settings, classes, file_digest(path), basis)
