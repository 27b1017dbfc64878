"""Clips of a manifest as an endless stream of batches, and all views of each video for evaluation.

What a batch holds is a pure function of (seed, step): which videos, which frames, which crops. It does not
depend on how many processes decode, and the ranks of a distributed run share one global batch.
"""

import itertools
import multiprocessing
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lgdnet.batch import Batch
from lgdnet.clips import crop_boxes
from lgdnet.errors import InputError
from lgdnet.pages import keep_pages

PATIENCE_SEC = 1200.0  # for the next item of a worker; less than processes wait for each other
GRACE_SEC = 3.0  # for a worker to end when it is told to

LOADER_KEEPS_MIB = 64  # of freed memory; there may be many loaders
PREFETCH = 2  # items that each worker makes ahead

# N clips, V clips of one video, C channels, T frames, H x W pixels


class ClipSource(Protocol):
    """Training clips by manifest row."""

    def __len__(self) -> int: ...

    def read(self, row: int, generator: np.random.Generator) -> np.ndarray:
        """One clip, drawn with `generator`: (C, T, H, W) uint8; sound (1, F, T) float32."""
        ...

    def label(self, row: int) -> int:
        """Class index, -1 where unlabelled."""
        ...


class ManyClipsSource(ClipSource, Protocol):
    """A source that reads several clips of one video in one go."""

    def read_many(self, row: int, generators: Sequence[np.random.Generator]) -> list[np.ndarray]:
        """As `read` with each generator, from one decode."""
        ...


def epoch_order(num_videos: int, *, seed: int, epoch: int) -> np.ndarray:
    """Rows in the order in which this epoch visits them. -> (num_videos,) int64"""
    return np.random.default_rng([seed, epoch]).permutation(num_videos)


def steps_per_epoch(
    num_videos: int, *, batch_size: int, world_size: int = 1, clips_per_video: int = 1
) -> int:
    """Whole global batches in an epoch, at least one."""
    return max(num_videos * clips_per_video // (batch_size * world_size), 1)


class Draw(NamedTuple):
    """A clip before it is read: manifest row, epoch, and which clip of that video in this epoch."""

    row: int
    epoch: int
    clip: int

    def generator(self, seed: int) -> np.random.Generator:
        """Every choice about this clip comes from here."""
        return np.random.default_rng([seed, self.epoch, self.row, self.clip])

    def seed(self, seed: int) -> int:
        """A 63-bit number for the augmentation on the device."""
        state = np.random.SeedSequence([seed, self.epoch, self.row, self.clip, 1]).generate_state(
            1, np.uint64
        )
        return int(state[0] >> np.uint64(1))


def draws_of_step(
    step: int,
    *,
    num_videos: int,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    clips_per_video: int = 1,
) -> list[Draw]:
    """The clips of one rank's batch. A set smaller than the global batch is repeated within it."""
    per_epoch = steps_per_epoch(
        num_videos, batch_size=batch_size, world_size=world_size, clips_per_video=clips_per_video
    )
    epoch, step_of_epoch = divmod(step, per_epoch)
    order = epoch_order(num_videos, seed=seed, epoch=epoch)
    first = (step_of_epoch * world_size + rank) * batch_size
    draws = []
    for position in range(first, first + batch_size):
        lap, video = divmod(position // clips_per_video, num_videos)
        draws.append(Draw(int(order[video]), epoch, position % clips_per_video + lap * clips_per_video))
    return draws


@dataclass(frozen=True)
class Steps(Dataset):
    """Item `step` is the whole batch of that step: a worker makes a batch, so the order never depends on
    workers.
    """

    source: ClipSource
    seed: int
    batch_size: int
    rank: int
    world_size: int
    clips_per_video: int

    def __getitem__(self, step: int) -> Batch:
        draws = draws_of_step(
            step, num_videos=len(self.source), batch_size=self.batch_size, seed=self.seed, rank=self.rank,
            world_size=self.world_size, clips_per_video=self.clips_per_video,
        )  # fmt: skip
        clips: list[np.ndarray] = []
        for row, group in itertools.groupby(draws, key=lambda draw: draw.row):
            generators = [draw.generator(self.seed) for draw in group]
            if len(generators) > 1 and hasattr(self.source, "read_many"):
                clips += self.source.read_many(row, generators)
            else:
                clips += [self.source.read(row, generator) for generator in generators]
        return Batch(
            clip=torch.from_numpy(np.stack(clips)),
            label=torch.tensor([self.source.label(draw.row) for draw in draws], dtype=torch.int64),
            row=torch.tensor([draw.row for draw in draws], dtype=torch.int64),
            seed=torch.tensor([draw.seed(self.seed) for draw in draws], dtype=torch.int64),
        )


def batches(
    source: ClipSource,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    clips_per_video: int = 1,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Training batches from step `start_step` on, without end; nothing before that step is decoded.

    `batch_size` counts the clips of one rank. With `clips_per_video` c an epoch takes c clips of every video
    from one decode, so it is c times as long.
    """
    if len(source) == 0:
        raise ValueError("a source without videos gives no batches")
    steps = Steps(source, seed, batch_size, rank, world_size, clips_per_video)
    yield from load(steps, itertools.count(start_step), num_workers=num_workers, pin_memory=pin_memory)


@dataclass(frozen=True)
class Refusal:
    """Bad input that a worker met: as it is, where torch would put its traceback into the message."""

    error: InputError


@dataclass(frozen=True)
class Answers(Dataset):
    """Items of a data set, or why there is none."""

    dataset: Dataset

    def __getitem__(self, position: int) -> Any:
        try:
            return self.dataset[position]
        except InputError as error:
            return Refusal(error)


def load(
    dataset: Dataset, positions: Iterable[int], *, num_workers: int, pin_memory: bool = False
) -> Iterator[Any]:
    """Items in the order of `positions`, made by `num_workers` forked processes (0: here).

    Forked processes share the manifest's memory; nothing is pickled into them. One that hangs is killed at the end.
    Errors: RuntimeError when none comes for `PATIENCE_SEC`.
    """
    if num_workers:
        # Before the fork: in a forked process OpenCV waits for ever for threads that were not forked with it.
        cv2.setNumThreads(1)
    others = multiprocessing.active_children()
    items = iter(
        DataLoader(
            Answers(dataset),
            batch_size=None,
            sampler=positions,
            num_workers=num_workers,
            pin_memory=pin_memory,
            multiprocessing_context="fork" if num_workers else None,
            worker_init_fn=be_one_thread if num_workers else None,
            prefetch_factor=PREFETCH if num_workers else None,
            timeout=PATIENCE_SEC if num_workers else 0,
        )
    )
    workers = [child for child in multiprocessing.active_children() if child not in others]
    try:
        for item in items:
            if isinstance(item, Refusal):
                raise item.error
            yield item
    finally:
        if workers:  # torch asks them to end, waits, and then sends a signal that they ignore
            end = threading.Timer(GRACE_SEC, kill, [workers])
            end.daemon = True
            end.start()


def kill(workers: Iterable[BaseProcess]) -> None:
    """End processes that hang; nothing happens to those that have ended."""
    for worker in workers:
        worker.kill()


def be_one_thread(worker: int) -> None:
    """Processes are the parallelism; torch must not start threads of its own.

    Slurm signals all processes of a job. A worker that went first would end training in the middle of a step;
    it ends with its parent, which it watches.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    torch.set_num_threads(1)
    keep_pages(LOADER_KEEPS_MIB)


class View(NamedTuple):
    """One clip with one crop."""

    row: int  # of the manifest
    start_frame: int
    crop: int  # 0, or 0 to 2 from left (top) to right (bottom)
    clip: Tensor  # (C, T, H, W) uint8; sound (1, F, T) float32


@dataclass(frozen=True)
class Loaded:
    """Clips of one video after one decode; overlapping clips share their frames."""

    row: int
    starts: list[int]
    frames: np.ndarray  # (frames, H, W, C) uint8, each frame that any clip needs once
    positions: np.ndarray  # (V, T) rows of `frames`

    def views(self, *, size: int, num_crops: int) -> Iterator[View]:
        """Clips in order of time, crops of each from left to right; cut one at a time, because together they
        are large.
        """
        H, W = self.frames.shape[1:3]
        for start, positions in zip(self.starts, self.positions, strict=True):
            clip = self.frames[run_of(positions)]  # (T, H, W, C)
            for crop, box in enumerate(crop_boxes(H, W, size=size, num_crops=num_crops)):
                window = clip[:, box.top : box.top + size, box.left : box.left + size]
                pixels = np.ascontiguousarray(window.transpose(3, 0, 1, 2))
                yield View(self.row, start, crop, torch.from_numpy(pixels))


def run_of(positions: np.ndarray) -> np.ndarray | slice:
    """Consecutive positions as a slice, which copies nothing."""
    is_run = len(positions) > 0 and (np.diff(positions) == 1).all()
    return slice(int(positions[0]), int(positions[-1]) + 1) if is_run else positions


class LoadedVideo(Protocol):
    """What `ViewSource.load_views` brings from a worker: it cuts views when they are needed."""

    def views(self, *, size: int, num_crops: int) -> Iterator[View]: ...


class ViewSource(Protocol):
    """Evaluation clips by manifest row."""

    size: int  # of a crop, pixels

    def __len__(self) -> int: ...

    def load_views(self, row: int, *, num_clips: int) -> LoadedVideo:
        """`num_clips` evenly spaced clips of one video, from one decode."""
        ...


@dataclass(frozen=True)
class Videos(Dataset):
    """Item `row` is one loaded video."""

    source: ViewSource
    num_clips: int

    def __getitem__(self, row: int) -> LoadedVideo:
        return self.source.load_views(row, num_clips=self.num_clips)


def views(
    source: ViewSource,
    *,
    num_clips: int,
    num_crops: int = 1,
    rows: Sequence[int] | None = None,
    num_workers: int = 0,
) -> Iterator[View]:
    """Every view of every video, videos in manifest order; each video is decoded once.

    `rows` restricts to some rows (those that an interrupted dump still lacks). All num_clips x num_crops
    views
    of a video follow each other.
    """
    chosen = range(len(source)) if rows is None else rows
    # An item is the frames of a whole video: handed over one by one, and cut here.
    for loaded in load(Videos(source, num_clips), chosen, num_workers=num_workers):
        yield from loaded.views(size=source.size, num_crops=num_crops)
