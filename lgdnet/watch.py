"""Watching a training run without slowing it: figures of each step, guards, history, and where the time went."""

import json
import resource
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from lgdnet import distributed
from lgdnet.batch import Batch
from lgdnet.distributed import Ranks
from lgdnet.errors import InputError
from lgdnet.history import History
from lgdnet.log import warn

EXCUSED_OVERFLOWS = 30  # in a row: fp16's loss scale, which starts at 2^16 and may grow, is below 1 by then


class TrainingError(InputError):
    """Training cannot go on: the loss is not finite, memory is out, or a loader worker died."""


@dataclass
class Reading:
    """One step's figures on their way from the device."""

    step: int  # 0-based
    rows: Tensor  # (N,) rows of the manifest
    rate: float  # learning rate
    figures: Tensor  # (3,) loss, share of right answers, gradient norm; on the CPU once `end` has passed
    start: torch.cuda.Event | None
    end: torch.cuda.Event | None


@dataclass
class Times:
    """Seconds of the loop. `model` is the GPU's own time, or what is not waiting on a CPU."""

    wall: float = 0.0
    data: float = 0.0  # waiting for the next batch
    copy: float = 0.0  # host to device; hidden beneath the model unless the device stood still for it
    model: float = 0.0
    clips: int = 0

    def bound(self) -> str:
        """One line: what bounded training, and by how much.

        The device stood still for `wall - model`. If that is a tenth of the time or more, the cause is the
        larger of the two things it can wait for; if not, the model itself is the limit.
        """
        wall = max(self.wall, 1e-9)
        cause = "the model"
        if wall - self.model >= 0.1 * wall:
            cause = "data" if self.data >= self.copy else "copies from host to device"
        return (
            f"bounded by {cause}: {self.clips / wall:.3g} clips/s; model {self.model / wall:.0%}, "
            f"waiting for data {self.data / wall:.0%}, copies {self.copy / wall:.0%} of {wall:.0f} s"
        )


class Watch:
    """What happened since the last row of the history, and whether training may go on.

    On a GPU a step's figures are looked at one step late, so that it always has the next step to work on.
    """

    def __init__(
        self,
        history: History,
        ranks: Ranks,
        device: torch.device,
        *,
        steps_per_epoch: int,
        max_bad_in_row: int,
        video_ids: Sequence[str] | None,
        loss_scaling: bool = False,
    ) -> None:
        self.history, self.ranks, self.device = history, ranks, device
        self.steps_per_epoch = steps_per_epoch
        self.max_bad_in_row = max_bad_in_row
        self.video_ids = video_ids
        self.loss_scaling = loss_scaling  # fp16: gradients overflow now and then while the scale is found
        self.group = distributed.host_group()
        self.times = Times()
        self.in_flight: deque[Reading] = deque()
        # Part of every checkpoint, so that the rows of the history do not depend on stops.
        self.sums = {
            "loss": 0.0,
            "right": 0.0,
            "norm": 0.0,
            "steps": 0.0,
            "bad_in_row": 0.0,
            "overflows_in_row": 0.0,
        }
        self.since = Times()  # the times at the last row
        self.on_device: torch.cuda.Event | None = None  # where the step begins

    def next(self, batches: Iterator[Batch]) -> Batch:
        """The next batch."""
        self.asked = time.monotonic()
        try:
            return next(batches)
        except (ConnectionError, EOFError) as error:  # its end is noticed before the signal that tells of it
            raise RuntimeError(f"DataLoader worker went away ({error}).") from error

    def begin(self) -> None:
        """Mark the begin of a step; count the waiting before it, for this process's batch and for the others'."""
        self.started = time.monotonic()
        self.times.data += self.started - self.asked
        self.times.wall += self.started - self.asked
        self.on_device = mark(self.device)

    def done(self, step: int, rows: Tensor, rate: float, figures: Tensor) -> None:
        """Send a step's figures on their way, and look at those of the step before. Errors: TrainingError."""
        on_host = figures.to("cpu", non_blocking=True)
        self.in_flight.append(Reading(step, rows, rate, on_host, self.on_device, mark(self.device)))
        self.settle(leave=1 if self.device.type == "cuda" else 0)
        spent = time.monotonic() - self.started
        self.times.wall += spent
        self.times.model += 0.0 if self.on_device else spent
        self.times.clips += len(rows) * self.ranks.world_size

    def settle(self, leave: int = 0) -> None:
        """Look at finished readings, all but the newest `leave`. Errors: TrainingError."""
        while len(self.in_flight) > leave:
            reading = self.in_flight.popleft()
            if reading.start and reading.end:
                reading.end.synchronize()
                self.times.model += reading.start.elapsed_time(reading.end) / 1000
            loss, right, norm = reading.figures.tolist()
            if isfinite(loss) and isfinite(norm):
                self.sums["loss"] += loss
                self.sums["right"] += right
                self.sums["norm"] += norm
                self.sums["steps"] += 1
                self.sums["bad_in_row"] = self.sums["overflows_in_row"] = 0
            elif self.loss_scaling and isfinite(loss) and self.sums["overflows_in_row"] < EXCUSED_OVERFLOWS:
                self.sums["overflows_in_row"] += 1
            else:
                self.guard(reading, loss, norm)

    def guard(self, reading: Reading, loss: float, norm: float) -> None:
        """Write down a step that was left out because its loss or gradient is not finite; stop after too many.

        Every process writes the batch it had: the `loss` column tells whose it was. Errors: TrainingError.
        """
        self.sums["bad_in_row"] += 1
        rows = reading.rows.tolist()
        videos = (
            [self.video_ids[row] for row in rows]
            if self.video_ids is not None
            else [f"row {row}" for row in rows]
        )
        path = self.history.add_bad_step(
            self.ranks.rank,
            step=reading.step,
            learning_rate=reading.rate,
            loss=loss,
            gradient_norm=norm,
            video_ids=json.dumps(videos, ensure_ascii=False),
        )
        what = f"step {reading.step}: loss {loss}, gradient norm {norm} at learning rate {reading.rate:.4g}"
        shown = ", ".join(videos[:4]) + (f" and {len(videos) - 4} more" if len(videos) > 4 else "")
        warn(f"{what}; step left out. Videos: {shown}; all in {path}.")
        if self.sums["bad_in_row"] >= self.max_bad_in_row:
            raise TrainingError(
                f"{what}, step number {self.max_bad_in_row} in a row that is not finite. The videos are in {path}. "
                "Check them; or lower train.learning_rate, or lengthen train.warmup_epochs."
            )

    def state(self) -> list[dict[str, float]]:
        """The sums of all processes, for a checkpoint."""
        self.settle()
        keys, rank, world_size = list(self.sums), self.ranks.rank, self.ranks.world_size
        own = [0.0] * (rank * len(keys)) + list(self.sums.values())
        numbers = distributed.summed(own + [0.0] * (world_size * len(keys) - len(own)), self.group)
        return [dict(zip(keys, numbers[i:], strict=False)) for i in range(0, len(numbers), len(keys))]

    def restore(self, state: list[dict[str, float]]) -> None:
        """Go on from the sums of a checkpoint; with another number of processes the open row starts anew."""
        if len(state) == self.ranks.world_size:
            self.sums.update(state[self.ranks.rank])

    def write_row(self, step: int, rate: float) -> None:
        """A row of the history: means over all processes since the row before."""
        self.settle()
        times, since = self.times, self.since
        seconds = max(times.wall - since.wall, 1e-9)
        sums = [self.sums[key] for key in ("steps", "loss", "right", "norm")]
        steps, loss, right, norm = distributed.summed(sums, self.group)
        if self.ranks.first:
            self.history.add(
                step=step,
                epoch=step / self.steps_per_epoch,
                split="train",
                loss=loss / steps if steps else None,
                learning_rate=rate,
                gradient_norm=norm / steps if steps else None,
                clips_per_sec=(times.clips - since.clips) / seconds,
                data_wait_sec=times.data - since.data,
                top1=right / steps if steps else None,
                memory_mb=peak_memory_mb(self.device),
                seconds=seconds,
            )
        self.sums.update(loss=0.0, right=0.0, norm=0.0, steps=0.0)
        self.since = Times(**vars(times))

    def write_validation(self, step: int, figures: dict[str, float]) -> None:
        """A row with the figures of the validation split."""
        self.history.add(step=step, epoch=step / self.steps_per_epoch, split="validation", **figures)


def mark(device: torch.device) -> torch.cuda.Event | None:
    """A point in time on a GPU's current stream; None on a CPU."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def peak_memory_mb(device: torch.device) -> float:
    """Most memory in use so far: of the GPU's allocator, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def ahead(batches: Iterable[Batch], device: torch.device, times: Times) -> Generator[Batch, None, None]:
    """Batches on the device: on a GPU the next one is copied on a stream of its own while this one trains."""
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    copied: deque[tuple[Batch, Any, Any]] = deque()
    for batch in batches:
        with torch.cuda.stream(stream):
            begin = mark(device)
            host = batch.clip if batch.clip.is_pinned() else batch.clip.pin_memory()
            copied.append((batch._replace(clip=host.to(device, non_blocking=True)), begin, mark(device)))
        if len(copied) > 1:
            yield arrived(copied.popleft(), device, times)
    while copied:
        yield arrived(copied.popleft(), device, times)


def arrived(entry: tuple[Batch, Any, Any], device: torch.device, times: Times) -> Batch:
    """Let the current stream wait for the copy, and keep its memory until that stream is done with it."""
    batch, begin, end = entry
    current = torch.cuda.current_stream(device)
    current.wait_event(end)
    batch.clip.record_stream(current)
    if end.query():
        times.copy += begin.elapsed_time(end) / 1000
    return batch
