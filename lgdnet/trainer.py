"""The training loop: one, visible, plain PyTorch.

What a step does depends on the step's number, the seed and the weights, and on nothing else: the loader's
order, the learning rate, dropout and augmentation are functions of them. So a run that was killed at any
moment goes on from its checkpoint exactly as if nothing had happened.
"""

import contextlib
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lgdnet import distributed
from lgdnet.batch import Batch
from lgdnet.checkpoint import CheckpointError, Checkpoints
from lgdnet.distributed import ALONE, Ranks
from lgdnet.faults import LOADER_MEMORY, VALIDATION_MEMORY, closing_loader, memory_explained, step_memory
from lgdnet.history import History
from lgdnet.interrupt import EXIT_RETRY, Interrupt
from lgdnet.log import progress, say
from lgdnet.models import TwoPathNetwork
from lgdnet.optimizer import (
    Average,
    BatchNormMode,
    align,
    clipped_update,
    load_optimizer,
    moving_buffers,
    set_batch_norm,
    set_learning_rate,
    take_back,
)
from lgdnet.watch import Watch, ahead

NOTHING = -1  # no checkpoint
GO_ON, SAVE, STOP = 0, 1, 2  # what a process wants before a step; all do the highest
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Run:
    """Everything that a step changes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None = None
    step: int = 0  # optimiser steps done

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
        }

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Go back to what a checkpoint kept after `step` steps."""
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.model.load_state_dict(state["average"])
        self.step = step

    @property
    def result(self) -> nn.Module:
        """The model to evaluate and to keep."""
        return self.average.model if self.average else self.model


def train(
    model: nn.Module,
    *,
    batches_from: Callable[[int], Iterator[Batch]],
    transform: Callable[[Batch, torch.device], tuple[Tensor, Tensor]],
    loss: Callable[[Any, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    learning_rate: Callable[[int], float],
    num_steps: int,
    steps_per_epoch: int,
    checkpoints: Checkpoints,
    history: History,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    validate_every: int = 0,
    stop_at: int | None = None,
    device: torch.device | str = "cpu",
    ranks: Ranks = ALONE,
    seed: int = 0,
    accumulate: int = 1,
    clip_norm: float | None = None,
    precision: str = "fp32",
    batch_norm: BatchNormMode = "train",
    average_decay: float | None = None,
    channels_last: bool = False,
    compile: bool = False,
    find_unused_parameters: bool = False,
    log_every: int = 20,
    save_every_sec: float = 600.0,
    save_every_steps: int | None = None,
    max_bad_in_row: int = 10,
    video_ids: Sequence[str] | None = None,
) -> nn.Module:
    """Train `model` for `num_steps` optimiser steps, resuming from `checkpoints`; returns the weights to keep.

    `batches_from(step)` yields this process's batches from that step on, for ever; `transform` makes clip
    (N, C, T, H, W) float and target (N,) or (N, K) on the device; `loss(model(clip), target)` is a mean
    over N. `accumulate` cuts each batch into so many parts whose gradients are added up. `stop_at` ends
    earlier than the schedule does, for a run in phases. Validation runs every `validate_every` steps and at
    the end.

    Ends with SystemExit(75) after SIGTERM or SIGUSR1, saved. Errors: TrainingError, CheckpointError.
    """
    device = torch.device(device)
    model.to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    align(optimizer)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    run = Run(model, optimizer, scaler, Average(model, average_decay) if average_decay else None)
    watch = Watch(
        history,
        ranks,
        device,
        steps_per_epoch=steps_per_epoch,
        video_ids=video_ids,
        max_bad_in_row=max_bad_in_row,
        loss_scaling=scaler.is_enabled(),
    )
    resume(run, watch, checkpoints)
    recipe = Recipe(transform, loss, device, accumulate, clip_norm, PRECISIONS[precision], channels_last)
    learning_mode(model, batch_norm)  # before processes agree on which weights have gradients
    forward = wrapped(
        model, device, batch_norm, compile=compile, find_unused_parameters=find_unused_parameters
    )
    stop_at = num_steps if stop_at is None else stop_at
    due = due_steps(validate_every, num_steps) if validate else frozenset()

    def evaluate() -> None:
        """Validate the weights to keep, unless a run before this one has done so at this step."""
        assert validate is not None
        distributed.same_buffers(run.result)
        if not distributed.from_first(int(ranks.first and history.has_validation(run.step)), watch.group):
            with interrupt.at_once(), torch.no_grad(), memory_explained(device, *VALIDATION_MEMORY):
                figures = validate(run.result.eval())
            if ranks.first:
                watch.write_validation(run.step, figures)

    batches = ahead(batches_from(run.step), device, watch.times)  # nothing is read before the first `next`
    with Interrupt() as interrupt, closing_loader(batches, lambda: run.step):
        if run.step in due:
            evaluate()
            learning_mode(model, batch_norm)
        saved = time.monotonic()
        for step in steps(run.step, stop_at, num_steps, show=ranks.first):
            with memory_explained(device, *LOADER_MEMORY):
                batch = interrupt.unless_asked(lambda: watch.next(batches))  # a wait that may be long
            late = time.monotonic() - saved > save_every_sec
            wish = distributed.highest(STOP if interrupt.name else SAVE if late else GO_ON, watch.group)
            if wish == STOP or batch is None:
                save(run, watch, checkpoints)
                say(
                    f"stopped by {interrupt.name or 'another process'} after step {run.step}, saved; start again to go on"
                )
                raise SystemExit(EXIT_RETRY)
            watch.begin()
            rate = learning_rate(step)
            torch.manual_seed(step_seed(seed, step, ranks.rank))
            figures = update(run, forward, batch, rate, recipe)
            run.step = step + 1
            watch.done(step, batch.row, rate, figures)
            if run.step % log_every == 0 or run.step == num_steps:
                watch.write_row(run.step, rate)
            late = wish == SAVE or bool(save_every_steps and run.step % save_every_steps == 0)
            if late or run.step in due or run.step == stop_at:
                save(run, watch, checkpoints)
                saved = time.monotonic()
            if run.step in due:
                evaluate()
                learning_mode(model, batch_norm)
    if ranks.first and watch.times.clips:
        say(watch.times.bound())
    return run.result


# ---- one step


@dataclass(frozen=True)
class Recipe:
    """How one update is made from one batch."""

    transform: Callable[[Batch, torch.device], tuple[Tensor, Tensor]]
    loss: Callable[[Any, Tensor], Tensor]
    device: torch.device
    accumulate: int
    clip_norm: float | None
    precision: torch.dtype
    channels_last: bool


def update(run: Run, forward: nn.Module, batch: Batch, rate: float, recipe: Recipe) -> Tensor:
    """One optimiser step on `batch`; returns loss, share of right answers and gradient norm, (3,).

    Where the gradient is not finite nothing changes.
    """
    set_learning_rate(run.optimizer, rate)
    buffers = moving_buffers(run.model)
    before = [buffer.clone() for buffer in buffers]
    with memory_explained(recipe.device, *step_memory(batch, recipe.accumulate, frozen=not buffers)):
        figures = add_gradients(run, forward, batch, recipe)
        weights = [weight for weight in run.model.parameters() if weight.grad is not None]
        norm = clipped_update(run.optimizer, run.scaler, weights, recipe.clip_norm)
    take_back(buffers, before, norm)
    run.optimizer.zero_grad(set_to_none=True)
    if run.average:
        run.average.follow(run.model, run.step, norm)
    return torch.cat([figures, norm.detach().reshape(1)])


def add_gradients(run: Run, forward: nn.Module, batch: Batch, recipe: Recipe) -> Tensor:
    """Gradients of the mean loss over `batch`, added up part by part; returns loss and share of right answers."""
    figures = torch.zeros(2, device=recipe.device)
    parts = list(zip(*(field.chunk(recipe.accumulate) for field in batch), strict=True))
    for index, part in enumerate(Batch(*fields) for fields in parts):
        clip, target = recipe.transform(part, recipe.device)  # clip: (N / accumulate, C, T, H, W)
        if recipe.channels_last and clip.ndim == 5:
            clip = clip.to(memory_format=torch.channels_last_3d)
        last = index == len(parts) - 1
        wait = contextlib.nullcontext() if last or not distributed.joined() else forward.no_sync()  # type: ignore[operator]
        with wait:  # processes add up their gradients after the last part only
            with torch.autocast(
                recipe.device.type, recipe.precision, enabled=recipe.precision != torch.float32
            ):
                output = forward(clip)
                loss = recipe.loss(output, target)
            share = len(part.row) / len(batch.row)
            run.scaler.scale(loss * share).backward()
        figures += share * torch.stack([loss.detach().float(), right_answers(output, target)])
    return figures


def right_answers(output: Any, target: Tensor) -> Tensor:
    """Share of clips whose best class is the target's, (); of mixed targets (N, K) the largest counts."""
    logits = getattr(output, "logits", output)
    label = target if target.ndim == 1 else target.argmax(1)
    return (logits.argmax(1) == label).float().mean()


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of torch's global generator, dropout's, for one step of one process."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


# ---- before and between


def wrapped(
    model: nn.Module,
    device: torch.device,
    batch_norm: BatchNormMode,
    *,
    compile: bool,
    find_unused_parameters: bool,
) -> nn.Module:
    """The model as it is called in training: over several processes, compiled. Its weights stay `model`'s."""
    if compile and isinstance(model, TwoPathNetwork):
        model.compile_blocks()
    elif compile:
        model.compile()  # in place: a few small layers
    forward = model
    if distributed.joined():
        if batch_norm == "synchronised":
            forward = nn.SyncBatchNorm.convert_sync_batchnorm(
                forward
            )  # in place; weights stay the same objects
        with warnings.catch_warnings():  # torch 2.13 renames broadcast_buffers; 2.10 has no other name
            warnings.simplefilter("ignore", FutureWarning)
            forward = DistributedDataParallel(
                forward,
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,  # only rank 0's are kept; see `same_buffers`
                find_unused_parameters=find_unused_parameters,
                gradient_as_bucket_view=True,
            )
    return forward


def learning_mode(model: nn.Module, batch_norm: BatchNormMode) -> None:
    """Dropout on, normalisation in its mode."""
    model.train()
    set_batch_norm(model, batch_norm)


def due_steps(every: int, num_steps: int) -> frozenset[int]:
    """Steps after which to validate: each `every`, and the last."""
    return frozenset([*range(every, num_steps, every), num_steps] if every else [num_steps])


def steps(start: int, stop: int, num_steps: int, *, show: bool) -> Iterable[int]:
    """Numbers of the steps to do, with a progress bar in the first process."""
    todo = range(start, stop)
    return progress(todo, what="train", total=num_steps, done=start, unit="steps") if show and todo else todo


# ---- saving and resuming


def resume(run: Run, watch: Watch, checkpoints: Checkpoints) -> None:
    """Go on from the newest checkpoint; forget what the history has beyond it. Errors: CheckpointError."""
    if watch.ranks.first:
        checkpoints.make_room()
    found = newest(checkpoints, watch)
    if found:
        run.load(*found)
        watch.restore(found[1]["sums"])
    if watch.ranks.first:
        watch.history.cut(run.step)
        if found and run.step != checkpoints.last:
            say(f"resumed after step {run.step}")
    checkpoints.last = run.step


def newest(checkpoints: Checkpoints, watch: Watch) -> tuple[int, dict[str, Any]] | None:
    """What the first process finds newest and whole, read by all of them.

    Errors: CheckpointError, in all processes, when one of them cannot read it, or when it is not the one that
    this process has written.
    """
    found = checkpoints.latest() if watch.ranks.first else None
    step = distributed.from_first(found[0] if found else NOTHING, watch.group)
    fault = ""
    if watch.ranks.first and checkpoints.last not in (None, max(step, 0)):
        fault = f"{checkpoints.path(checkpoints.last)}: written by this process, and damaged or gone now"
    if step != NOTHING and not watch.ranks.first:
        try:
            found = checkpoints.read(checkpoints.path(step))
        except CheckpointError as error:
            fault = f"process {watch.ranks.rank} on {socket.gethostname()}: {error} All need the same folder and settings"
    faults = [text for text in distributed.told(fault, watch.group) if text]
    if faults:
        raise CheckpointError(f"{'. '.join(faults)}. Start again to go on after step {max(step, 0)}.")
    return found


def save(run: Run, watch: Watch, checkpoints: Checkpoints) -> None:
    """Everything the next step depends on, written by the first process."""
    sums = watch.state()
    if watch.ranks.first:
        checkpoints.save(run.step, {**run.state(), "sums": sums})
    distributed.highest(0, watch.group)  # nobody leaves before the file is whole
