"""The table of every model: what it holds, what it computes, and how fast it is here."""

import re
import time
from dataclasses import asdict, dataclass

import torch

from lgdnet.models import MODELS, ModelError, build_model, count_gflops, for_inference
from lgdnet.models.measure import parameters_by_role

MEASURE_SEC = 3.0  # per model

# T frames, S x S pixels


@dataclass(frozen=True)
class Row:
    """One model with one clip of 3 channels at a time."""

    name: str
    parameters: int
    lgd: int  # of them, in the low-rank maps
    temporal: int  # of them, in temporal kernels
    gflops_16: float  # multiply-adds in billions, 16 frames of 224 x 224
    gflops_128: float  # the same, 128 frames
    clips_per_sec: float | None = None  # measured


def run(*, like: str = "", num_classes: int = 700, measure: str = "", threads: int = 1) -> str:
    """A Markdown table of the models whose name contains `like`; `measure` is a clip such as 16x112, or
    nothing.

    Errors: ModelError.
    """
    names = [name for name in MODELS if like in name]
    if not names:
        raise ModelError(f"no model has {like!r} in its name; without --like all are listed")
    torch.set_num_threads(threads)
    size = clip_size(measure) if measure else None
    return as_markdown([row_of(name, num_classes, size) for name in names], measure, threads)


def clip_size(text: str) -> tuple[int, int]:
    """`16x112` -> 16 frames of 112 x 112 pixels."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or int(match[1]) % 4 or int(match[1]) == 0 or int(match[2]) < 32:
        raise ModelError(
            f"cannot measure {text!r}: expected frames x pixels, such as 16x112 (frames a multiple of 4, at least "
            "32 pixels)"
        )
    return int(match[1]), int(match[2])


def row_of(name: str, num_classes: int, size: tuple[int, int] | None) -> Row:
    """Count on the meta device, where nothing is stored; build for real only to measure."""
    with torch.device("meta"):
        model = build_model(name, in_channels=3, num_classes=num_classes)
    roles = parameters_by_role(model)
    gflops = [count_gflops(model, (1, 3, T, 224, 224)) for T in (16, 128)]
    rate = clips_per_sec(name, num_classes, *size) if size else None
    return Row(name, roles.total, roles.lgd, roles.temporal, gflops[0], gflops[1], rate)


def clips_per_sec(name: str, num_classes: int, T: int, S: int) -> float:
    """Inference of one clip at a time, in the form that a dump uses; the best of the runs of MEASURE_SEC."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = for_inference(build_model(name, in_channels=3, num_classes=num_classes).eval().to(device))
    clip = torch.randn(1, 3, T, S, S, device=device)
    best, start = float("inf"), time.perf_counter()
    with torch.inference_mode():
        while best == float("inf") or time.perf_counter() - start < MEASURE_SEC:
            begin = time.perf_counter()
            model(clip).logits.cpu()  # waits for a GPU
            best = min(best, time.perf_counter() - begin)
    return 1 / best


def as_markdown(rows: list[Row], measure: str, threads: int) -> str:
    """The table; parameters in millions."""
    head = ["model", "parameters, M", "of them LGD", "temporal", "GFLOPs 16x224", "GFLOPs 128x224"]
    if measure:
        head.append(f"clips/s at {measure} ({threads} thread{'s' if threads > 1 else ''})")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" + " ---: |" * (len(head) - 1)]
    for row in rows:
        cells = asdict(row)
        millions = [f"{cells[key] / 1e6:.2f}" for key in ("parameters", "lgd", "temporal")]
        gflops = [f"{row.gflops_16:.1f}", f"{row.gflops_128:.1f}"]
        rate = [f"{row.clips_per_sec:.2f}"] if row.clips_per_sec is not None else []
        lines.append("| " + " | ".join([row.name, *millions, *gflops, *rate]) + " |")
    return "\n".join(lines)
