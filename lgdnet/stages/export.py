"""A trained stream in, a network for other runtimes out."""

import json
from pathlib import Path

import torch

from lgdnet.log import say
from lgdnet.modalities import MODALITIES
from lgdnet.models.export import export
from lgdnet.streams import clip_shape, read_stream


def run(*, model: Path, out: Path, threads: int = 1) -> None:
    """Write `out` (.pt2 or .onnx) with classes, clip shape and normalisation inside, checked against eager."""
    torch.set_num_threads(threads)
    stream = read_stream(model)
    modality = MODALITIES[stream.settings.modality]
    shape = clip_shape(stream.settings)
    about = {
        "classes": json.dumps(stream.classes),
        "clip_shape": json.dumps(shape),  # (C, T, H, W); (1, F, T) of sound
        "mean": json.dumps(list(modality.mean)),
        "std": json.dumps(list(modality.std)),
        "model_sha256": stream.digest,
        **stream.media(Path()).about(),  # how its flow was made, or the mean and deviation of its sound
    }
    difference = export(stream.model, shape, out, about)
    say(f"{out}: logits agree with eager to {difference:.1e} of the largest")
