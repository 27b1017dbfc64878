"""Where the clips of a stream come from: the videos, or the flow or sound that an earlier stage made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lgdnet.audio.reading import AudioError
from lgdnet.audio.statistics import MelStatistics, mel_statistics
from lgdnet.audio.storage import MelStore
from lgdnet.flow import FlowError, FlowShard, Recipe, default_algorithm
from lgdnet.loader.audio import AudioSource, frames_of
from lgdnet.loader.flow import FlowSource, computed_fields, stored_fields
from lgdnet.loader.frames import FrameSource
from lgdnet.log import say
from lgdnet.manifest import Manifest
from lgdnet.settings import CacheSettings, FlowSettings, StreamSettings
from lgdnet.video.cache import FrameCache, FramesAsCached

Source = FrameSource | FlowSource | AudioSource


@dataclass(frozen=True)
class Media:
    """What the clips of one split are cut from."""

    video_root: Path
    stored: tuple[Path, ...] = ()
    """Files that the flow, audio or cache stage made of the split; none for frames straight from the videos, and
    for flow on the fly."""
    recipe: Recipe | None = None
    """How the flow is, or has to be, made; of flow streams."""
    statistics: MelStatistics | None = None
    """Of the training sound; of audio streams."""
    cached_as: CacheSettings | None = None
    """Frames straight from the videos go through the JPEG that the cache stage would have kept; for prediction."""
    device: str = "cpu"
    """Where flow on the fly is computed."""

    def about(self) -> dict[str, str]:
        """What a trained network must know of it, as texts for its file."""
        known = {"flow": self.recipe, "mel_statistics": self.statistics}
        return {name: value.to_json() for name, value in known.items() if value is not None}


def training_media(
    settings: StreamSettings, video_root: Path, stored: Sequence[Path], wanted: FlowSettings
) -> Media:
    """The media of the training split: flow as `wanted` says, sound with its own statistics."""
    statistics = None
    if settings.modality == "audio":
        check_stored(stored, "audio")
        statistics = mel_statistics(stored)
    recipe = None
    if settings.modality == "flow":
        recipe = recipe_wanted(wanted, flow_in_use(settings, stored))
    return media_like(settings, video_root, stored, recipe=recipe, statistics=statistics)


def media_like(
    settings: StreamSettings,
    video_root: Path,
    stored: Sequence[Path],
    *,
    recipe: Recipe | None,
    statistics: MelStatistics | None,
) -> Media:
    """The media of another split, made as those of the training split were."""
    if settings.modality == "audio":
        return Media(video_root, tuple(check_stored(stored, "audio")), statistics=statistics)
    if settings.modality == "flow":
        return Media(video_root, tuple(flow_in_use(settings, stored)), recipe=recipe)
    return Media(video_root, tuple(stored))


def check_stored(stored: Sequence[Path], stage: str) -> Sequence[Path]:
    """The files of an earlier stage, if any were named."""
    if not stored:
        raise AudioError(
            f"an audio stream needs the files of the {stage} stage: name each with --stored, or run snakemake."
        )
    return stored


def flow_in_use(settings: StreamSettings, stored: Sequence[Path]) -> Sequence[Path]:
    """The flow files to read: none where flow is computed on the fly."""
    if settings.flow_on_the_fly:
        return ()
    if not stored:
        raise FlowError(
            "a flow stream needs the files of the flow stage: name each with --stored, or set flow_on_the_fly: true."
        )
    return stored


def recipe_wanted(wanted: FlowSettings, files: Sequence[Path]) -> Recipe:
    """What the settings ask for; `auto` is either default, the one that the files were made with."""
    algorithm: str = wanted.algorithm
    if algorithm == "auto":
        defaults = [default_algorithm(device) for device in ("cpu", "cuda")]
        found = FlowShard(files[0]).recipe.algorithm if files else defaults[0]
        algorithm = found if found in defaults else defaults[0]
    return Recipe.of(
        algorithm,
        wanted.parameters,
        bound=wanted.bound,
        short_side=wanted.short_side,
        quality=wanted.quality,
    )


# ---- clips


def clips_of(settings: StreamSettings, manifest: Manifest, media: Media) -> Source:
    """Clips of the videos of a manifest, in the stream's shape: random ones, or evenly spaced views."""
    return SOURCES[settings.modality](settings, manifest, media)


def frame_clips(settings: StreamSettings, manifest: Manifest, media: Media) -> FrameSource:
    cache: FrameCache | FramesAsCached | None = None
    if media.stored:
        cache = FrameCache(media.stored)
    elif media.cached_as is not None:
        cache = FramesAsCached(
            {
                str(video_id): (media.video_root / path, backend, int(side))
                for video_id, path, backend, side in zip(
                    manifest.video_ids, manifest.paths, manifest.backends, manifest.short_sides, strict=True
                )
            },
            media.cached_as,
        )
    return FrameSource(
        manifest, media.video_root, **pixels_of(settings), sampling=settings.sampling, cache=cache
    )


def flow_clips(settings: StreamSettings, manifest: Manifest, media: Media) -> FlowSource:
    assert media.recipe is not None, "a flow stream has a recipe"
    if media.stored:
        read_fields = stored_fields(media.stored, manifest, expected=media.recipe)
    else:
        read_fields = computed_fields(manifest, media.video_root, media.recipe, device=media.device)
    return FlowSource(manifest, read_fields, **pixels_of(settings))


def pixels_of(settings: StreamSettings) -> dict:
    """Shape of a clip and of its random windows."""
    return {
        "clip_length": settings.clip_length,
        "frame_stride": settings.frame_stride,
        "size": settings.crop,
        "short_side": settings.short_side,
        "area": settings.train.augment.area,
        "ratio": settings.train.augment.aspect_ratio,
    }


def audio_clips(settings: StreamSettings, manifest: Manifest, media: Media) -> AudioSource:
    if media.statistics is None:
        raise AudioError(f"{manifest.path}: no mel statistics; train the audio stream again.")
    return AudioSource(
        manifest,
        MelStore(media.stored),
        media.statistics,
        segment_frames=frames_of(settings.segment_sec),
        clip_length=settings.clip_length,
        frame_stride=settings.frame_stride,
    )


SOURCES: Mapping[str, Callable[[StreamSettings, Manifest, Media], Source]] = {
    "frame": frame_clips,
    "flow": flow_clips,
    "audio": audio_clips,
}


def videos_to_train(settings: StreamSettings, manifest: Manifest, media: Media) -> Manifest:
    """The videos that have something for this stream: all but, for sound, those that cannot be heard."""
    if settings.modality != "audio":
        return manifest
    store = MelStore(media.stored)
    audible = np.array([store.facts(video_id).is_audible for video_id in manifest.video_ids], bool)
    if not audible.all():
        say(
            f"{manifest.path}: {(~audible).sum()} of {len(audible)} videos cannot be heard; left out of training"
        )
    return manifest.only(audible)


def rows_without_clips(source: Source) -> set[int]:
    """Rows of videos that have nothing for this stream: no sound track, or a silent one."""
    return set(range(len(source))) - set(source.rows) if isinstance(source, AudioSource) else set()
