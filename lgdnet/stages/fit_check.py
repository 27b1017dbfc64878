"""Does a stream fit, and how long will it take? A few real steps, before the first long job."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lgdnet.batch import Batch
from lgdnet.distributed import ALONE, pick_device
from lgdnet.errors import InputError
from lgdnet.loader.batches import PREFETCH
from lgdnet.manifest import read_classes, read_manifest
from lgdnet.models import training_loss
from lgdnet.optimizer import Average, align
from lgdnet.plan import Part, Plan, share_cores, starting_network
from lgdnet.settings import read_challenge
from lgdnet.settings.base import nearest
from lgdnet.sources import training_media, videos_to_train
from lgdnet.trainer import PRECISIONS, Recipe, Run, learning_mode, update, wrapped
from lgdnet.watch import peak_memory_mb


@dataclass(frozen=True)
class Fit:
    """What a few steps of one part of a run cost on one process."""

    clip: tuple[int, ...]  # (C, T, H, W)
    clips_per_step: int
    memory_mb: float  # peak, of the GPU; without one, of the process so far
    loop_sec: float  # per step, with loading
    model_sec: float  # per step, on data that is there
    num_steps: int

    def describe(self) -> str:
        """`clips (3, 16, 224, 224), 32 per step: 41,250 MB; 210 clips/s (model alone 230); 12,000 steps: 0.5 h`"""
        return (
            f"clips {self.clip}, {self.clips_per_step} per step: {self.memory_mb:,.0f} MB; "
            f"{self.clips_per_step / self.loop_sec:.3g} clips/s (model alone {self.clips_per_step / self.model_sec:.3g}); "
            f"{self.num_steps:,} steps: {self.hours:.2g} h"
        )

    @property
    def hours(self) -> float:
        """For all steps of this part, validation not counted."""
        return self.num_steps * self.loop_sec / 3600


def run(
    config: Path,
    stream: str,
    *,
    data_root: Path | None = None,
    results: Path = Path("results"),
    threads: int = 1,
    num_steps: int = 4,
    device: str = "auto",
) -> list[Fit]:
    """Measure each part of a stream's run on one process; nothing is written.

    The training manifest must be there. Errors: InputError without it, or for an unknown stream; TrainingError
    with what to lower when memory is out.
    """
    challenge = read_challenge(config)
    if stream not in challenge.streams:
        raise InputError(
            f"{config}: streams: no stream is called {stream!r}{nearest(stream, challenge.streams)}"
        )
    settings = challenge.streams[stream]
    folder = results / challenge.challenge / "manifest"
    videos, classes = read_manifest(folder / "train.csv"), read_classes(folder / "classes.txt")
    here = pick_device(device, 0)
    video_root = (data_root or challenge.data_root) / challenge.dataset.video_root
    workers = share_cores(threads, here, None)
    stored = sorted((folder.parent / settings.modality / "train").glob("*.h5"))
    media = training_media(settings, video_root, stored, challenge.flow)
    videos = videos_to_train(settings, videos, media)
    plan = Plan(settings, videos, media, ALONE, here, workers, num_classes=len(classes))
    model = starting_network(settings, len(classes), None).to(here)
    print(f"{stream}: {plan.describe()}")
    fits, begin = [], 0
    for part in plan.parts:
        fits.append(measure(plan, model, part, part.end - begin, num_steps=num_steps))
        begin = part.end
        print(fits[-1].describe(), flush=True)
    print(f"{stream}: {sum(fit.hours for fit in fits):.2g} hours of training on one process")
    return fits


def measure(plan: Plan, model: nn.Module, part: Part, part_steps: int, *, num_steps: int) -> Fit:
    """Time `num_steps` steps, and two of each worker, with loading and without.

    A first step is not counted, and what the workers made ahead meanwhile is left out: else a slow loader
    would look as fast as its store.
    """
    settings, device = plan.settings.train, plan.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    optimizer = plan.optimizer(model)
    align(optimizer)
    scaler = torch.amp.GradScaler(device.type, enabled=plan.precision == "fp16")
    recipe = Recipe(
        plan.transform(),
        training_loss,
        device,
        settings.accumulate,
        settings.clip_norm,
        PRECISIONS[plan.precision],
        settings.channels_last,
    )
    learning_mode(model, part.batch_norm)
    forward = wrapped(model, device, part.batch_norm, compile=settings.compile, find_unused_parameters=False)
    average = Average(model, settings.average_decay) if settings.average_decay else None
    one = Run(model, optimizer, scaler, average)

    def seconds_of(batches: Iterator[Batch], count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            update(one, forward, next(batches), 1e-6, recipe)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - begin) / count

    loader = plan.batches_from(0, clip_length=part.clip_length)
    seconds_of(loader, 1)
    for _ in range(plan.num_workers * (PREFETCH + 1)):
        next(loader)
    num_steps = max(num_steps, 2 * plan.num_workers)
    loop_sec = seconds_of(loader, num_steps)
    batch = next(loader)
    model_sec = seconds_of(iter([batch] * num_steps), num_steps)
    return Fit(
        tuple(batch.clip.shape[1:]), len(batch.row), peak_memory_mb(device), loop_sec, model_sec, part_steps
    )
