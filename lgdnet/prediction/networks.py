"""The trained networks of a finished challenge, and what their clips of a new video are cut from."""

from pathlib import Path

import torch

from lgdnet.flow import ALGORITHMS
from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.prediction.looking import Looked
from lgdnet.scores.errors import check_classes
from lgdnet.settings import TRAIN_KEYS, changed
from lgdnet.sources import Media
from lgdnet.streams import Stream, read_stream


def load_stream(finished: Finished, name: str, device: torch.device) -> Stream:
    """A network on the device. Errors: PredictionError where it is not the one that the settings speak of."""
    path = finished.path(finished.stream_file(name))
    stream = read_stream(path)
    if changed(stream.settings, TRAIN_KEYS) != changed(finished.challenge.streams[name], TRAIN_KEYS):
        raise PredictionError(
            f"{path}: trained with other settings than those of the challenge. Run snakemake to its end, or name the "
            "challenge file that it was trained with by --config."
        )
    check_classes(path, stream.classes, finished.classes(), finished.root)
    stream.model.to(device)
    return stream


def media_of(
    finished: Finished, stream: Stream, looked: Looked, sound: tuple[Path, ...], device: torch.device
) -> Media:
    """Flow is computed where it is needed, frames go through the JPEG of the cache where the challenge has one.

    Errors: PredictionError for a video of one frame, where flow is needed.
    """
    recipe = stream.recipe
    if recipe is not None and looked.manifest.num_frames[0] < 2:
        raise PredictionError(
            f"{looked.manifest.path}: one frame, and flow needs two. Leave it out, or choose a row or stream without flow."
        )
    on_gpu = recipe is not None and ALGORITHMS[recipe.algorithm].on_gpu
    return Media(
        looked.root,
        sound if stream.settings.modality == "audio" else (),
        recipe=recipe,
        statistics=stream.statistics,
        cached_as=finished.challenge.cache,
        device=str(device) if on_gpu else "cpu",
    )


def chosen_device(device: str) -> torch.device:
    """`auto` is the GPU if there is one. Errors: PredictionError for a GPU that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise PredictionError(f"--device {device}: no CUDA device here. Leave --device out, or say cpu.")
    return torch.device(device)
