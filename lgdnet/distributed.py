"""Processes that train together: who they are, how they find each other, what they agree on.

Without any of the environment below a process is alone, and every function here does nothing or little.

- `torchrun`: RANK, WORLD_SIZE, LOCAL_RANK and the address are in the environment.
- `srun` with several tasks: the ranks come from Slurm. Rank 0 lets the system pick a free port and writes it
  to a file in a folder that all nodes see (the run's own), so nobody chooses ports.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lgdnet.artefact import write_text
from lgdnet.errors import InputError

TIMEOUT = timedelta(minutes=30)  # a validation or the first compilation may keep the others waiting


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1

    @property
    def first(self) -> bool:
        """Rank 0 writes the files and speaks."""
        return self.rank == 0


ALONE = Ranks()


def ranks_from(environment: Mapping[str, str]) -> Ranks:
    """Ranks as torchrun or, in a job step of several tasks, Slurm tells them; alone without either.

    Errors: InputError when the environment is incomplete.
    """
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    if "RANK" not in environment and int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")
    if names[0] not in environment:
        return ALONE
    missing = [name for name in names if name not in environment]
    if missing:
        raise InputError(
            f"{names[0]} is set but {missing[0]} is not: start the processes with torchrun or srun."
        )
    return Ranks(*(int(environment[name]) for name in names))


@contextlib.contextmanager
def together(
    device: str, folder: Path, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[Ranks, torch.device]]:
    """Join the other processes for the length of the block: this one's ranks and its device.

    `device` is "cpu", "cuda" or "auto" (a GPU where there is one); each process of a node takes the GPU of
    its local rank. `folder` is seen by all nodes. Errors: InputError when there are fewer GPUs than
    processes.
    """
    ranks = ranks_from(environment)
    here = pick_device(device, ranks.local_rank)
    if ranks.world_size == 1:
        yield ranks, here
        return
    if here.type == "cuda":
        torch.cuda.set_device(here)
    backend = "nccl" if here.type == "cuda" else "gloo"
    if "MASTER_ADDR" in environment:
        dist.init_process_group(backend, rank=ranks.rank, world_size=ranks.world_size, timeout=TIMEOUT)
    else:
        store = meet(folder, ranks, meeting_name(environment))
        dist.init_process_group(
            backend, store=store, rank=ranks.rank, world_size=ranks.world_size, timeout=TIMEOUT
        )
    try:
        yield ranks, here
    except RuntimeError as error:
        if not any(
            words in str(error) for words in ("Connection closed by peer", "Connection reset by peer")
        ):
            raise
        raise InputError("another process of this run ended; its own message says why.") from error
    finally:
        dist.destroy_process_group()


def pick_device(device: str, local_rank: int) -> torch.device:
    """The device of one process of a node. Errors: InputError."""
    num_gpus = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and num_gpus == 0):
        return torch.device("cpu")
    if num_gpus == 1 and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        return torch.device("cuda", 0)  # Slurm shows each task its own GPU only
    if local_rank >= num_gpus:
        raise InputError(
            f"process {local_rank} of this node needs a GPU, but there are {num_gpus}: start fewer."
        )
    return torch.device("cuda", local_rank)


# ---- finding each other without a port to pick


def meeting_name(environment: Mapping[str, str]) -> str:
    """A name that the tasks of one job step share, and no other step or requeued start of it has."""
    parts = (environment.get(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    return "meeting-" + "-".join(parts)


def meet(folder: Path, ranks: Ranks, name: str, timeout: timedelta = TIMEOUT) -> dist.TCPStore:
    """Rank 0 opens a store on a port that the system picks and writes where; the others read it and connect.

    Errors: InputError when rank 0 does not show up in time.
    """
    path = folder / f"{name}.txt"
    if ranks.first:
        store = dist.TCPStore(
            "0.0.0.0", 0, ranks.world_size, is_master=True, timeout=timeout, wait_for_workers=False
        )
        write_text(path, f"{socket.gethostname()} {store.port}")
        return store
    deadline = time.monotonic() + timeout.total_seconds()
    while not path.exists():
        if time.monotonic() > deadline:
            raise InputError(
                f"{path}: rank 0 did not write it in {timeout.total_seconds():.0f} s; is the folder shared?"
            )
        time.sleep(0.1)
    host, port = path.read_text().split()
    return dist.TCPStore(
        host, int(port), ranks.world_size, is_master=False, timeout=timeout, wait_for_workers=False
    )


# ---- agreeing


def joined() -> bool:
    """Are there other processes?"""
    return dist.is_initialized() and dist.get_world_size() > 1


def highest(wish: int, group: Any = None) -> int:
    """The highest of all processes' numbers. On a `gloo` group it does not wait for the GPU."""
    if not joined():
        return wish
    value = torch.tensor(wish)
    dist.all_reduce(value, op=dist.ReduceOp.MAX, group=group)
    return int(value)


def told(text: str, group: Any = None) -> list[str]:
    """Every process's text, by rank."""
    if not joined():
        return [text]
    texts = [""] * dist.get_world_size()
    dist.all_gather_object(texts, text, group=group)
    return texts


def summed(numbers: Sequence[float], group: Any = None) -> list[float]:
    """Each number summed over all processes."""
    if not joined():
        return list(numbers)
    values = torch.tensor(numbers, dtype=torch.float64)
    dist.all_reduce(values, group=group)
    return values.tolist()


def host_group() -> Any:
    """A group that talks between the hosts' CPUs; None for a process alone."""
    return dist.new_group(backend="gloo", timeout=TIMEOUT) if joined() else None


def from_first(number: int, group: Any = None) -> int:
    """Rank 0's number, everywhere."""
    if not joined():
        return number
    value = torch.tensor(number)
    dist.broadcast(value, src=0, group=group)
    return int(value)


def same_buffers(model: nn.Module) -> None:
    """Give every process the buffers of rank 0: running statistics differ between ranks, weights do not."""
    if joined():
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


# ---- evaluating together


def my_batches(num_rows: int, batch_size: int) -> range:
    """Which batches of an evaluation this process computes: whole ones, dealt out in turn.

    A row is thus always computed in the same company, whatever the number of processes, and so to the same
    bit.
    """
    rank, world_size = (dist.get_rank(), dist.get_world_size()) if joined() else (0, 1)
    return range(rank, -(-num_rows // batch_size), world_size)


def gathered(parts: Mapping[int, Tensor], *, num_rows: int, batch_size: int, width: int) -> Tensor:
    """Rows of all processes on every process, (rows, width) float32. Nothing is padded or counted twice.

    `parts[i]` holds rows `i * batch_size` and following, for the batches of `my_batches`.
    """
    device = next((part.device for part in parts.values()), None) or current_device()
    rows = torch.zeros(num_rows, width, device=device)
    for index, part in parts.items():
        rows[index * batch_size : index * batch_size + len(part)] = part.float()
    if joined():
        dist.all_reduce(rows)  # the others hold zeros there, and adding zero changes nothing
    return rows


def current_device() -> torch.device:
    """Where tensors must be to travel between the processes."""
    if joined() and dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
