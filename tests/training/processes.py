"""Run a function in several forked processes that train together over gloo."""

import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lgdnet.distributed import Ranks, together


def in_processes(world_size: int, function: Callable[[Ranks], Any], folder: Path) -> list[Any]:
    """What `function(ranks)` returns on each; they find each other as tasks of a Slurm step do."""
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    children = [
        context.Process(target=child, args=(rank, world_size, function, folder, answers))
        for rank in range(world_size)
    ]
    for process in children:
        process.start()
    found = dict(answers.get() for _ in children)
    for process in children:
        process.join()
    failed = [
        answer for answer in found.values() if isinstance(answer, str) and answer.startswith("Traceback")
    ]
    assert not failed, failed[0]
    return [found[rank] for rank in range(world_size)]


def child(rank: int, world_size: int, function: Callable[[Ranks], Any], folder: Path, answers: Any) -> None:
    torch.set_num_threads(1)
    environment = {
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_STEP_NUM_TASKS": str(world_size),
        "SLURM_JOB_ID": "7",
    }
    try:
        with together("cpu", folder, environment) as (ranks, _):
            answers.put((rank, function(ranks)))
    except BaseException:
        answers.put((rank, traceback.format_exc()))
