"""What the training settings of a stream mean: how many steps, at which rates, on which batches, in which parts."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lgdnet import distributed
from lgdnet.artefact import digest, file_digest
from lgdnet.augment import eval_transform, train_transform
from lgdnet.batch import Batch
from lgdnet.distributed import Ranks
from lgdnet.errors import InputError
from lgdnet.loader.batches import batches, steps_per_epoch, views
from lgdnet.log import say
from lgdnet.manifest import Manifest
from lgdnet.metrics import top_k_accuracy
from lgdnet.modalities import MODALITIES
from lgdnet.models import TwoPathNetwork
from lgdnet.models.inflate import load_weights
from lgdnet.optimizer import build_optimizer
from lgdnet.pages import keep_pages
from lgdnet.schedules import last_steps, learning_rate, scaled
from lgdnet.settings import TRAIN_KEYS, StreamSettings, changed
from lgdnet.sources import Media, clips_of, rows_without_clips
from lgdnet.spec_augment import sound_transform
from lgdnet.streams import network_of

# Settings of `train` that change how a batch is computed: the same update up to rounding, but that with `accumulate`
# each part has its own normalisation statistics where these are not frozen.
DETAILS = ("accumulate", "activation_checkpointing", "channels_last", "compile")
# Settings of `train` that change how training looks or how often it is saved, but not the weights it ends with.
WITHOUT_EFFECT = (
    "validate_every_epochs",
    "checkpoint_every_minutes",
    "log_every_steps",
    "max_bad_steps",
    "trackers",
)


@dataclass(frozen=True)
class Part:
    """A stretch of the run with one clip length."""

    clip_length: int
    end: int  # its last step + 1
    batch_norm: Any


@dataclass(frozen=True)
class Plan:
    """One stream's training on these processes."""

    settings: StreamSettings
    videos: Manifest
    media: Media
    ranks: Ranks
    device: torch.device
    num_workers: int
    num_classes: int

    def __post_init__(self) -> None:
        train, world_size = self.settings.train, self.ranks.world_size
        if train.batch_size % world_size:
            raise InputError(
                f"train.batch_size {train.batch_size} cannot be shared by {world_size} processes: "
                f"make it a multiple of {world_size}."
            )
        if (self.videos.labels < 0).any():
            raise InputError(f"{self.videos.path}: videos without a label; train on labelled ones.")
        modes = {train.batch_norm, *(length.batch_norm for length in train.lengths)}
        if "synchronised" in modes and world_size > 1 and self.device.type == "cpu":
            raise InputError("train.batch_norm: synchronised needs GPUs; on CPUs use train or frozen.")
        if train.precision == "bf16" and self.device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise InputError("train.precision: this GPU has no bf16; use fp16.")

    @property
    def clips_per_process(self) -> int:
        """Of one optimiser step."""
        return self.settings.train.batch_size // self.ranks.world_size

    @cached_property
    def steps_per_epoch(self) -> int:
        train = self.settings.train
        return steps_per_epoch(
            len(self.videos),
            batch_size=self.clips_per_process,
            world_size=self.ranks.world_size,
            clips_per_video=train.clips_per_video,
        )

    @cached_property
    def num_steps(self) -> int:
        train = self.settings.train
        epochs = sum(length.epochs for length in train.lengths) if train.lengths else train.epochs
        return max(round(epochs * self.steps_per_epoch), 1)

    @cached_property
    def parts(self) -> list[Part]:
        """The whole run, or its parts with progressive clip lengths."""
        train = self.settings.train
        if not train.lengths:
            return [Part(self.settings.clip_length, self.num_steps, train.batch_norm)]
        ends = last_steps([length.epochs for length in train.lengths], num_steps=self.num_steps)
        parts = [
            Part(length.clip_length, end, length.batch_norm)
            for length, end in zip(train.lengths, ends, strict=True)
        ]
        return [part for part, before in zip(parts, [0, *ends], strict=False) if part.end > before]

    @property
    def peak_rate(self) -> float:
        """Learning rate after the warm-up, for this batch."""
        train = self.settings.train
        return scaled(
            train.learning_rate,
            batch_size=train.batch_size,
            reference_batch=train.rate_batch_size or train.batch_size,
        )

    def learning_rate(self, step: int) -> float:
        train = self.settings.train
        return learning_rate(
            step,
            peak=self.peak_rate,
            num_steps=self.num_steps,
            schedule=train.schedule,
            warmup_steps=min(round(train.warmup_epochs * self.steps_per_epoch), self.num_steps - 1),
            drops=train.drops,
        )

    @property
    def precision(self) -> str:
        if self.settings.train.precision != "auto":
            return self.settings.train.precision
        return "bf16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"

    def batches_from(self, step: int, *, clip_length: int) -> Iterator[Batch]:
        """This process's batches from `step` on."""
        settings = self.settings.model_copy(update={"clip_length": clip_length})
        return batches(
            clips_of(settings, self.videos, self.media),
            batch_size=self.clips_per_process,
            seed=settings.train.seed,
            start_step=step,
            num_workers=self.num_workers,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
            clips_per_video=settings.train.clips_per_video,
            pin_memory=self.device.type == "cuda",
        )

    def transform(self) -> Callable[[Batch, torch.device], tuple[Tensor, Tensor]]:
        """From bytes to what the network and the loss take, on the device."""
        modality, augment = MODALITIES[self.settings.modality], self.settings.train.augment
        if not modality.is_pixels:
            return sound_transform(
                num_classes=self.num_classes,
                num_masks=augment.sound.num_masks,
                max_mask_bins=augment.sound.max_mask_bins,
                max_mask_frames=augment.sound.max_mask_frames,
                max_gain=augment.sound.max_gain,
                mixup=augment.sound.mixup,
            )
        return train_transform(
            modality,
            flip=augment.mirror,
            colour=augment.colour,
            grey=augment.grey,
            blur=augment.blur,
            rand_operations=augment.rand_operations,
            rand_magnitude=augment.rand_magnitude,
            erase=augment.erase,
            mixup_alpha=augment.mixup,
            cutmix_alpha=augment.cutmix,
            num_classes=self.num_classes,
        )

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        train = self.settings.train
        return build_optimizer(
            model,
            train.optimizer,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
            decay_norm_and_bias=train.decay_norm_and_bias,
        )

    def identity(self, sources: dict[str, str]) -> str:
        """Changes with all that changes the resulting weights: settings, videos, and the files of `sources`."""
        settings = json.loads(changed(self.settings, TRAIN_KEYS))
        for key in WITHOUT_EFFECT + DETAILS:
            settings.get("train", {}).pop(key, None)
        sources = {**sources, **self.media.about(), "manifest": file_digest(self.videos.path)}
        return digest({"settings": settings, **sources})

    def details(self) -> dict[str, Any]:
        """How batches are computed: a run may go on with other values, but not to the same bits."""
        return {f"train.{key}": getattr(self.settings.train, key) for key in DETAILS}

    def describe(self) -> str:
        """One line: batch, rate, steps, parts."""
        train, ranks = self.settings.train, self.ranks
        rate = f"peak learning rate {self.peak_rate:.4g}"
        if train.rate_batch_size and train.rate_batch_size != train.batch_size:
            rate += f" ({train.learning_rate:.4g} for {train.rate_batch_size} clips, scaled with the batch)"
        batch = f"batch {train.batch_size}"
        if ranks.world_size * train.accumulate > 1:
            batch += f" ({ranks.world_size} processes x {train.accumulate} parts)"
        lengths = " then ".join(str(part.clip_length) for part in self.parts)
        clips = f"clips of {lengths} frames" if MODALITIES[self.settings.modality].is_pixels else "sound"
        return (
            f"{len(self.videos)} videos, {clips}, {batch}, {rate}; {self.num_steps} steps of "
            f"{self.steps_per_epoch} per epoch, {self.precision} on {self.device}"
        )


def starting_network(settings: StreamSettings, num_classes: int, init: Path | None) -> TwoPathNetwork:
    """A network with its first weights: drawn from the seed, then those of a file or of another stream over them."""
    torch.manual_seed(settings.train.seed)
    model = network_of(settings, num_classes)
    if settings.weights is not None:
        report = load_weights(
            model, settings.weights.path, settings.weights.layout, sha256=settings.weights.sha256
        )
        say(f"{settings.weights.path}: {report}")
    if init is not None:
        say(f"{init}: {load_weights(model, init, 'lgdnet')}")
    return model


def share_cores(threads: int, device: torch.device, num_workers: int | None) -> int:
    """Number of loader processes: as asked for, else all `threads` beside a GPU and half of them without one.

    How many compute follows from `threads` alone: sums of another number of threads have other bits, and the
    number of loader processes shall change nothing.
    """
    half = threads // 2
    if device.type == "cpu":
        keep_pages()
    torch.set_num_threads(max(threads - half, 1) if device.type == "cpu" else 1)
    if num_workers is not None:
        return num_workers
    return threads if device.type == "cuda" else half


class Validator:
    """Scores of one centre clip per labelled video, shared out among the processes; same bits for any number of them."""

    def __init__(
        self,
        settings: StreamSettings,
        videos: Manifest,
        media: Media,
        *,
        num_classes: int,
        device: torch.device,
        num_workers: int,
    ) -> None:
        self.source = clips_of(settings, videos, media)
        absent = rows_without_clips(self.source)
        self.rows = np.array([i for i in np.flatnonzero(videos.labels >= 0) if i not in absent], np.int64)
        self.labels = videos.labels[self.rows]
        self.transform = eval_transform(MODALITIES[settings.modality])
        # Clips at once: the same for any number of processes, so that the bits are; fewer where memory is short.
        self.batch_size = max(512 // settings.clip_length // settings.train.accumulate, 1)
        self.num_classes = num_classes
        self.device = device
        self.num_workers = num_workers

    def logits(self, model: nn.Module) -> Tensor:
        """Of all labelled videos, on every process: (videos, K) float32 on the CPU."""
        size, total = self.batch_size, len(self.rows)
        mine = distributed.my_batches(total, size)
        order = [row for index in mine for row in self.rows[index * size : (index + 1) * size].tolist()]
        clips = iter(views(self.source, num_clips=1, rows=order, num_workers=self.num_workers))
        parts = {}
        for index in mine:
            count = min(size, total - index * size)
            clip = torch.stack([next(clips).clip for _ in range(count)])  # (n, C, T, H, W)
            parts[index] = model(self.transform(clip, self.device)).logits
        return distributed.gathered(parts, num_rows=total, batch_size=size, width=self.num_classes).cpu()

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Loss, top-1 and top-5 accuracy (fractions)."""
        logits = self.logits(model)
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(self.labels))
        scores = logits.softmax(1).numpy()
        return {
            "loss": float(loss),
            "top1": top_k_accuracy(scores, self.labels, 1),
            "top5": top_k_accuracy(scores, self.labels, 5),
        }
