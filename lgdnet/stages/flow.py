"""Videos of one shard in, their optical flow out, each video decoded once.

On CPUs every worker process takes whole videos. On a GPU the workers decode, and this process computes the flow
of many pairs, of several videos if they are short, at once.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from lgdnet.artefact import file_digest, provenance
from lgdnet.flow import (
    ALGORITHMS,
    FlowError,
    FlowFiles,
    FlowWriter,
    Recipe,
    compute_flow,
    compute_pairs,
    default_algorithm,
    encode_field,
    quantise,
)
from lgdnet.loader.flow import check_lengths
from lgdnet.log import progress_line, say
from lgdnet.manifest import Manifest, read_manifest
from lgdnet.settings import FlowSettings
from lgdnet.video import iterate_frames
from lgdnet.watchdog import Failure, killable_map

# T frames, N pairs, H x W pixels

SECONDS_PER_VIDEO = 3600.0  # a worker that takes longer is taken for hung
SECONDS_BETWEEN_LINES = 20.0
WORKER = "lgdnet.stages.flow:flow_of_video"  # what each worker process runs
PAIRS_AT_ONCE = 300  # on a GPU, about ten seconds of video
PAIRS_WAITING = 900  # of all sizes together, before the largest group goes ahead


class Flow(NamedTuple):
    """The flow of one video, ready for the file."""

    row: int
    fields: list[bytes]  # JPEGs
    height: int
    width: int


def run(
    *,
    manifest: Path,
    video_root: Path,
    out: Path,
    shard: int = 0,
    num_shards: int = 1,
    settings: FlowSettings,
    threads: int = 1,
    device: str = "auto",
) -> None:
    """Write the flow of one shard of `manifest`. An interrupted run goes on after the videos it finished."""
    videos = read_manifest(manifest).shard(shard, num_shards)
    device = chosen_device(settings, device)
    recipe = recipe_of(settings, device)
    check_lengths(videos)
    if is_done(out, videos, recipe):
        say(f"{out}: the flow of all {len(videos)} videos is there already")
        return
    writer = FlowWriter(
        out,
        video_ids=videos.video_ids,
        num_frames=videos.num_frames,
        recipe=recipe,
        provenance=provenance(
            {"flow": settings.model_dump(mode="json")}, {"manifest": file_digest(manifest)}
        ),
        source_digests=videos.digests,
    )
    with writer:
        rows = writer.missing
        report = Report(videos, rows)
        paths = [video_root / path for path in videos.paths]
        extract = extract_on_gpu if device.startswith("cuda") else extract_on_cpus
        for flow in extract(rows, paths, recipe, num_workers=threads, device=device):
            writer.add(flow.row, flow.fields, height=flow.height, width=flow.width)
            report.finished(flow.row)
        report.end(recipe)


def chosen_device(settings: FlowSettings, device: str) -> str:
    """`auto` is the GPU if there is one and the algorithm can use it."""
    can_use_gpu = settings.algorithm == "auto" or ALGORITHMS[settings.algorithm].on_gpu
    if device == "auto" and can_use_gpu:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not can_use_gpu:
        raise FlowError(f"flow: {settings.algorithm} runs on CPUs only; use tvl1, or leave out the device")
    return "cpu" if device == "auto" else device


def recipe_of(settings: FlowSettings, device: str) -> Recipe:
    """All that decides what the fields will be."""
    algorithm = default_algorithm(device) if settings.algorithm == "auto" else settings.algorithm
    return Recipe.of(
        algorithm,
        settings.parameters,
        bound=settings.bound,
        short_side=settings.short_side,
        quality=settings.quality,
    )


def is_done(out: Path, videos: Manifest, recipe: Recipe) -> bool:
    """Whether `out` is the finished flow of these videos. A finished file of anything else is not overwritten."""
    if not out.exists():
        return False
    try:
        made = FlowFiles([out], expected=recipe)
        made.check(videos.video_ids.tolist(), videos.num_frames.tolist(), videos.digests)
        if len(made.place) > len(videos):
            raise FlowError(f"{out}: the flow of {len(made.place)} videos, not of these {len(videos)} alone.")
    except FlowError as error:
        raise FlowError(f"{error} To keep it, name another --out.") from None
    return True


def extract_on_cpus(
    rows: Sequence[int], paths: Sequence[Path], recipe: Recipe, *, num_workers: int, device: str
) -> Iterator[Flow]:
    """Whole videos in processes of one thread each, in the order in which they are finished."""
    calls = ((str(paths[row]), asdict(recipe)) for row in rows)
    for position, result in killable_map(
        WORKER, calls, num_workers=num_workers, timeout_sec=SECONDS_PER_VIDEO
    ):
        raise_failure(result, paths[rows[position]])
        yield Flow(rows[position], *result)


def flow_of_video(path: str, recipe: dict[str, Any]) -> tuple[list[bytes], int, int]:
    """Decode a video and encode its flow: JPEGs, height, width. Runs in a worker."""
    made = Recipe(**recipe)
    if made.algorithm == "tvl1":
        import torch

        torch.set_num_threads(1)
    grey = grey_frames(path, made.short_side)
    flow = compute_flow(made.algorithm, grey, parameters=made.parameters)
    return encoded(flow, made), grey.shape[1], grey.shape[2]


def grey_frames(path: str, short_side: int | None) -> np.ndarray:
    """All frames of a video. -> (T, H, W) uint8"""
    cv2.setNumThreads(1)
    frames = iterate_frames(Path(path), short_side=short_side)
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def encoded(flow: np.ndarray, recipe: Recipe) -> list[bytes]:
    """(N, 2, H, W) float32 pixels -> N JPEGs"""
    return [encode_field(quantise(field, recipe.bound), recipe.quality) for field in flow]


def extract_on_gpu(
    rows: Sequence[int], paths: Sequence[Path], recipe: Recipe, *, num_workers: int, device: str
) -> Iterator[Flow]:
    """Workers decode; the pairs of neighbouring videos of one size go to the device together."""
    calls = ((str(paths[row]), recipe.short_side) for row in rows)
    decoded = killable_map(
        "lgdnet.stages.flow:grey_frames", calls, num_workers=num_workers, timeout_sec=SECONDS_PER_VIDEO
    )
    waiting: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}  # by size
    for position, grey in decoded:
        row = rows[position]
        raise_failure(grey, paths[row])
        waiting.setdefault(grey.shape[1:], []).append((row, grey))
        largest = max(waiting, key=lambda size: num_pairs(waiting[size]))
        all_pairs = sum(num_pairs(group) for group in waiting.values())
        if num_pairs(waiting[largest]) >= PAIRS_AT_ONCE or all_pairs >= PAIRS_WAITING:
            yield from flow_of_group(waiting.pop(largest), recipe, device)
    for group in waiting.values():
        yield from flow_of_group(group, recipe, device)


def num_pairs(group: Sequence[tuple[int, np.ndarray]]) -> int:
    return sum(len(frames) - 1 for _, frames in group)


def flow_of_group(group: Sequence[tuple[int, np.ndarray]], recipe: Recipe, device: str) -> Iterator[Flow]:
    """Videos of one size, (row, (T, H, W) uint8), as one batch of pairs."""
    first = np.concatenate([frames[:-1] for _, frames in group])
    second = np.concatenate([frames[1:] for _, frames in group])
    flow = compute_pairs(recipe.algorithm, first, second, parameters=recipe.parameters, device=device)
    ends = np.cumsum([len(frames) - 1 for _, frames in group])
    for (row, frames), part in zip(group, np.split(flow, ends[:-1]), strict=True):
        yield Flow(row, encoded(part, recipe), frames.shape[1], frames.shape[2])


def raise_failure(result: Any, path: Path) -> None:
    """A worker that could not do a video stops the stage: the manifest said that it can be read."""
    if isinstance(result, Failure):
        message = result.message.split(": ", 1)[-1].removeprefix(f"{path}: ")
        raise FlowError(
            f"{path}: no flow ({message}). If the file is broken, run `snakemake manifest` again."
        )


class Report:
    """Frames per second and the time to finish, a line now and then."""

    def __init__(self, videos: Manifest, rows: Sequence[int]) -> None:
        self.num_frames = videos.num_frames
        self.total = int(videos.num_frames.sum())
        self.earlier = self.total - int(videos.num_frames[list(rows)].sum())
        self.done = 0
        self.start = self.last = time.monotonic()

    def finished(self, row: int) -> None:
        self.done += int(self.num_frames[row])
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            say(self.line())

    def line(self) -> str:
        """`flow: 3000/12000 frames, 25 %, 412 frames/s, 22 s left`"""
        rate = self.done / max(time.monotonic() - self.start, 1e-9)
        return progress_line("flow", self.earlier + self.done, self.total, rate, "frames")

    def end(self, recipe: Recipe) -> None:
        say(f"{self.line()} ({recipe.algorithm}, short side {recipe.short_side})")
