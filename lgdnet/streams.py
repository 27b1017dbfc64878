"""What the settings of a stream mean: its network, its clips, its transforms, its file.

Every stage that runs a network builds it here, so that training, dumping and prediction cannot differ.
"""

import json
from collections.abc import Sequence
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
from lgdnet.loader.audio import AudioSource, frames_of
from lgdnet.loader.frames import FrameSource
from lgdnet.log import say
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
    statistics: MelStatistics | None = None  # of the training sound

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
    statistics: MelStatistics | None = None,
) -> FrameSource | AudioSource:
    """Clips of the videos of a manifest, in the stream's shape: random ones, or evenly spaced views.

    `stored` are the files that the audio stage made of this manifest, `statistics` those of the training
    sound.
    """
    if settings.modality == "audio":
        if statistics is None:
            raise AudioError(f"{manifest.path}: no mel statistics; train the audio stream again.")
        return AudioSource(
            manifest,
            sound_of(manifest, stored),
            statistics,
            segment_frames=frames_of(settings.segment_sec),
            clip_length=settings.clip_length,
            frame_stride=settings.frame_stride,
        )
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


def statistics_of(settings: StreamSettings, stored: Sequence[Path]) -> MelStatistics | None:
    """Of the training sound, for an audio stream."""
    return mel_statistics(stored) if settings.modality == "audio" else None


def rows_without_clips(source: FrameSource | AudioSource) -> set[int]:
    """Rows of videos that have nothing for this stream: no sound track, or a silent one."""
    return set(range(len(source))) - set(source.rows) if isinstance(source, AudioSource) else set()


def write_stream(
    path: Path,
    model: torch.nn.Module,
    settings: StreamSettings,
    classes: Sequence[str],
    *,
    statistics: MelStatistics | None = None,
) -> None:
    """Weights with the settings and classes that make a network of them again; sound with its statistics."""
    about = {"settings": changed(settings, TRAIN_KEYS), "classes": json.dumps(list(classes))}
    if statistics is not None:
        about["mel_statistics"] = statistics.to_json()
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
    sound = about.get("mel_statistics")
    statistics = MelStatistics.from_json(sound, source=path) if sound else None
    return Stream(model.eval(), settings, classes, file_digest(path), statistics)
