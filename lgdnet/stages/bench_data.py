"""How fast clips can be fed on this machine, step by step, and whether feeding or the network is the limit."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lgdnet.augment import crop_and_resize, train_transform
from lgdnet.batch import Batch
from lgdnet.clips import random_crop_box
from lgdnet.errors import InputError
from lgdnet.loader.batches import Draw
from lgdnet.loader.frames import FrameSource
from lgdnet.manifest import read_classes, read_manifest
from lgdnet.modalities import MODALITIES
from lgdnet.models.heads import training_loss
from lgdnet.rates import Feeding
from lgdnet.settings import Challenge, StreamSettings, read_challenge
from lgdnet.streams import network_of
from lgdnet.video.reader import decoded, opened

NUM_CLIPS = 32  # clips of the measurement
NETWORK_BATCH = 4


@dataclass(frozen=True)
class Costs:
    """Milliseconds per clip on one core, and of the network on the device."""

    steps: dict[str, float]
    network: float
    num_cores: int
    device: str

    @property
    def fed_per_core(self) -> float:
        """Clips per second that one core can decode, cut and stack."""
        return 1000 / sum(self.steps[name] for name in ("open", "decode", "crop and resize", "collate"))

    @property
    def fed(self) -> float:
        """Clips per second of all cores; on a CPU the network takes half of them."""
        return self.fed_per_core * (self.num_cores if self.device != "cpu" else max(self.num_cores / 2, 1))

    @property
    def trained(self) -> float:
        """Clips per second of the network and the augmentation on the device."""
        return 1000 / (self.network + self.steps["augment"])

    def verdict(self) -> str:
        """What bounds training here, and by how much."""
        if self.fed >= self.trained:
            return f"the network is the limit: {self.trained:.1f} clips/s, while {self.fed:.1f} can be fed"
        worst = max((n for n in self.steps if n != "augment"), key=self.steps.__getitem__)
        return (
            f"feeding is the limit: {self.fed:.1f} clips/s, while the network takes {self.trained:.1f}; most of it is "
            f"'{worst}'. Use more cores, `media: {{enabled: true}}` or `cache: {{}}`, or clips_per_video"
        )


def run(config: Path, *, stream: str | None = None, num_clips: int = NUM_CLIPS) -> None:
    """Measure one frame stream of a challenge whose manifest is made; print a table, and leave the rates for `plan`."""
    challenge = read_challenge(config)
    name, settings = frame_stream(challenge, stream, config)
    folder = Path("results") / challenge.challenge
    kind = "media" if challenge.media.enabled else "manifest"
    root = folder / "media" if challenge.media.enabled else challenge.data_path(challenge.dataset.video_root)
    source = FrameSource(
        read_manifest(folder / kind / "train.csv"),
        root,
        clip_length=settings.clip_length,
        frame_stride=settings.frame_stride,
        size=settings.crop,
        area=settings.train.augment.area,
        ratio=settings.train.augment.aspect_ratio,
    )
    costs = measure(source, settings, len(read_classes(folder / "manifest/classes.txt")), num_clips=num_clips)
    print("\n".join(table(name, costs)))
    Feeding(costs.fed_per_core, costs.trained).write(Feeding.path(folder, name))


def frame_stream(challenge: Challenge, name: str | None, config: Path) -> tuple[str, StreamSettings]:
    """The named stream, or the first one that looks at frames."""
    frames = {n: s for n, s in challenge.streams.items() if s.modality == "frame"}
    if not frames or (name is not None and name not in frames):
        raise InputError(
            f"{config}: no frame stream {name or ''}. Frame streams: {', '.join(frames) or 'none'}."
        )
    chosen = name or next(iter(frames))
    return chosen, frames[chosen]


def measure(source: FrameSource, settings: StreamSettings, num_classes: int, *, num_clips: int) -> Costs:
    """Read `num_clips` random clips step by step, then train a few of them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = [int(row) for row in np.random.default_rng(0).integers(len(source), size=num_clips)]
    seconds = dict.fromkeys(("open", "decode", "crop and resize", "collate", "augment"), 0.0)
    clips = []
    for i, row in enumerate(rows):
        generator = Draw(row, 0, i).generator(0)
        seconds["open"] += timed(partial(first_frame, source, row))
        indices = source.random_indices(row, generator)
        begin = time.perf_counter()
        frames = source.decode(row, indices, short_side=source.training_side(row))
        seconds["decode"] += time.perf_counter() - begin
        begin = time.perf_counter()
        box = random_crop_box(*frames.shape[1:3], generator=generator, area=source.area, ratio=source.ratio)
        clips.append(crop_and_resize(frames, box, source.size))
        seconds["crop and resize"] += time.perf_counter() - begin
    seconds["decode"] = max(seconds["decode"] - seconds["open"], 0.0)  # opening is part of it
    begin = time.perf_counter()
    stacked = torch.from_numpy(np.stack(clips))
    seconds["collate"] = time.perf_counter() - begin
    labels = torch.tensor([max(source.label(row), 0) for row in rows])
    batch = Batch(stacked, labels, torch.tensor(rows), torch.arange(num_clips))
    augment = settings.train.augment
    transform = train_transform(
        MODALITIES["frame"], flip=augment.mirror, colour=augment.colour, grey=augment.grey, blur=augment.blur,
        rand_operations=augment.rand_operations, rand_magnitude=augment.rand_magnitude, erase=augment.erase,
    )  # fmt: skip
    seconds["augment"] = timed(lambda: transform(batch, device))
    steps = {name: 1000 * value / num_clips for name, value in seconds.items()}
    network = 1000 * training_sec(settings, batch, num_classes, device) / NETWORK_BATCH
    return Costs(steps, network, len(os.sched_getaffinity(0)), device.type)


def first_frame(source: FrameSource, row: int) -> None:
    """Open a file and decode its first frame."""
    with opened(source.video_root / source.manifest.paths[row]) as (container, stream):
        next(decoded(container, stream), None)


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time, the device included."""
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def training_sec(settings: StreamSettings, batch: Batch, num_classes: int, device: torch.device) -> float:
    """Seconds of one forward and backward pass of `NETWORK_BATCH` clips, after one to warm up."""
    network = network_of(settings, num_classes).to(device).train()
    clip = MODALITIES["frame"].normalise(batch.clip[:NETWORK_BATCH].float().to(device) / 255)
    clip = clip.repeat(-(-NETWORK_BATCH // len(clip)), 1, 1, 1, 1)[:NETWORK_BATCH]
    target = torch.zeros(NETWORK_BATCH, dtype=torch.int64, device=device)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = training_loss(network(clip), target)
        loss.backward()

    step()
    return timed(step)


def table(name: str, costs: Costs) -> list[str]:
    """Lines to print."""
    lines = [f"stream {name}: one core, milliseconds per clip"]
    lines += [
        f"  {step:18s}{value:9.2f} ms {1000 / max(value, 1e-6):10.1f} clips/s"
        for step, value in costs.steps.items()
    ]
    lines.append(
        f"  {'network, ' + costs.device:18s}{costs.network:9.2f} ms {1000 / costs.network:10.1f} clips/s"
    )
    lines.append(f"fed: {costs.fed_per_core:.1f} clips/s per core, {costs.num_cores} cores")
    lines.append(costs.verdict())
    return lines
