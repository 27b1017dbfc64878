"""A training run small enough to be killed many times: made-up clips, a network with every kind of state.

`python tests/training/toy.py FOLDER [key=value ...]` runs it; also under torchrun.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lgdnet import distributed
from lgdnet.batch import Batch
from lgdnet.checkpoint import Checkpoints, only_one, write_model
from lgdnet.distributed import ALONE, Ranks
from lgdnet.history import History
from lgdnet.optimizer import build_optimizer
from lgdnet.schedules import learning_rate
from lgdnet.trainer import train

NUM_CLIPS, NUM_CLASSES = 48, 3
SHAPE = (3, 2, 6, 6)  # C, T, H, W


class ToyNet(nn.Module):
    """(N, 3, T, H, W) -> logits (N, 3): convolution, BN, dropout; `extra` idle weights make saving slow."""

    def __init__(self, *, dropout: float = 0.3, extra: int = 0, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm3d(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(8, NUM_CLASSES)
        self.ballast = nn.Parameter(torch.zeros(extra)) if extra else None

    def forward(self, clip: Tensor) -> Tensor:
        logits = self.classifier(self.dropout(torch.relu(self.bn(self.conv(clip))).mean((2, 3, 4))))
        return logits if self.ballast is None else logits + 0 * self.ballast.sum()


def toy_model(seed: int = 0, **kwargs) -> ToyNet:
    """The same first weights every time."""
    torch.manual_seed(seed)
    return ToyNet(**kwargs)


def toy_clips() -> tuple[Tensor, Tensor]:
    """All clips (48, 3, T, H, W) uint8 and their labels: the class is the brightest channel."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(NUM_CLIPS) % NUM_CLASSES
    clips = torch.randint(0, 120, (NUM_CLIPS, *SHAPE), generator=generator, dtype=torch.uint8)
    clips[torch.arange(NUM_CLIPS), labels] += 60
    return clips, labels


def toy_batches(step: int, *, batch_size: int, seed: int = 0, ranks: Ranks = ALONE) -> Iterator[Batch]:
    """Endless; what a step gets depends on its number only. Each process has its part of the common batch."""
    clips, labels = toy_clips()
    per_epoch = NUM_CLIPS // batch_size
    part = batch_size // ranks.world_size
    while True:
        epoch, index = divmod(step, per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(NUM_CLIPS)
        rows = torch.from_numpy(order[index * batch_size :][:batch_size][ranks.rank * part :][:part].copy())
        yield Batch(clips[rows], labels[rows], rows, rows + epoch * NUM_CLIPS)
        step += 1


def slow_batches(step: int, *, pause: float, **kwargs) -> Iterator[Batch]:
    """The same, each after a pause; says on standard output when the first is asked for."""
    os.write(1, f"ready {os.getpid()} {step}\n".encode())
    for batch in toy_batches(step, **kwargs):
        time.sleep(pause)
        yield batch


def toy_transform(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scaled to about -1 ... 1."""
    return batch.clip.to(device).float() / 64 - 1, batch.label.to(device)


def toy_accuracy(model: nn.Module) -> dict[str, float]:
    """On all clips."""
    clips, labels = toy_clips()
    logits = model(clips.float() / 64 - 1)
    return {
        "loss": float(nn.functional.cross_entropy(logits, labels)),
        "top1": float((logits.argmax(1) == labels).float().mean()),
    }


def toy_train(folder: Path, *, model: ToyNet | None = None, ranks: Ranks = ALONE, **changes) -> nn.Module:
    """Train the toy in `folder`; any argument of `train` can be changed, and some of the toy."""
    model = toy_model() if model is None else model
    batch_size, num_steps, peak = (
        changes.pop("batch_size", 8),
        changes.pop("num_steps", 30),
        changes.pop("peak", 0.05),
    )
    optimizer = build_optimizer(
        model, changes.pop("optimizer", "sgd"), weight_decay=1e-3, decay_norm_and_bias=False
    )
    arguments = {
        "batches_from": partial(toy_batches, batch_size=batch_size, ranks=ranks),
        "transform": toy_transform,
        "loss": nn.functional.cross_entropy,
        "learning_rate": partial(learning_rate, peak=peak, num_steps=num_steps, warmup_steps=2),
        "steps_per_epoch": NUM_CLIPS // batch_size,
        "checkpoints": Checkpoints(folder / "checkpoints", identity="toy"),
        "history": History(folder / "history.csv"),
        "validate": toy_accuracy,
        "validate_every": 7,
        "log_every": 5,
        "clip_norm": 5.0,
    }
    return train(model, optimizer=optimizer, num_steps=num_steps, ranks=ranks, **{**arguments, **changes})


def main() -> None:
    folder = Path(sys.argv[1])
    changes = {key: json.loads(value) for key, value in (argument.split("=", 1) for argument in sys.argv[2:])}
    torch.set_num_threads(1)
    pause = changes.pop("pause", 0.0)  # seconds before each batch
    extra = changes.pop("extra", 0)
    with distributed.together("cpu", folder) as (ranks, _):
        lock = only_one(folder / "checkpoints") if ranks.first else contextlib.nullcontext()
        with lock:
            slowly = partial(slow_batches, pause=pause, batch_size=changes.get("batch_size", 8), ranks=ranks)
            model = toy_model(extra=extra)
            result = toy_train(folder, model=model, ranks=ranks, batches_from=slowly, **changes)
        if ranks.first:
            write_model(folder / "model.safetensors", result.state_dict())


if __name__ == "__main__":
    main()
