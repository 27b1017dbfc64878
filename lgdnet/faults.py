"""What goes wrong while a network trains, said so that it helps: memory that ran out, loader workers that die or hang."""

import contextlib
import math
import signal
import traceback
from collections.abc import Callable, Generator, Iterator

import torch

from lgdnet.batch import Batch
from lgdnet.watch import TrainingError

OUT_OF_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED", "can't allocate memory", "Cannot allocate memory")
VALIDATION_MEMORY = (
    "in validation",
    "Raise train.accumulate: validation computes fewer clips at once then too. Training goes on from its last "
    "checkpoint.",
)
LOADER_MEMORY = (
    "where batches are made and copied",
    "Each loader process makes whole batches ahead: lower --num-workers or threads.train, or use more GPUs. "
    "Training goes on from its last checkpoint.",
)


@contextlib.contextmanager
def memory_explained(device: torch.device, what: str, way_out: str) -> Iterator[None]:
    """Turn out of memory, of the device or the computer, into TrainingError: what was measured, what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out_of_memory = MemoryError | torch.OutOfMemoryError
        if not isinstance(error, out_of_memory) and not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        measured = str(error).splitlines()[0] if str(error) else type(error).__name__
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            peak = torch.cuda.max_memory_allocated(device)
            measured += f"; peak {peak / 2**30:.1f} GiB of {total / 2**30:.1f}, {free / 2**30:.1f} free"
        raise TrainingError(f"out of memory on {device} {what} ({measured}). {way_out}") from error


def step_memory(batch: Batch, accumulate: int, *, frozen: bool) -> tuple[str, str]:
    """What a step needs memory for, and what to do when it is out."""
    part = math.ceil(len(batch.row) / accumulate)
    effect = "the result stays the same" if frozen else "each part has its own normalisation statistics"
    return (
        f"with {part} clips of {tuple(batch.clip.shape[1:])} at once",
        f"Raise train.accumulate (now {accumulate}; {effect}) or the number of GPUs, or turn on "
        "train.activation_checkpointing: training goes on from its last checkpoint. With train.precision: bf16, "
        "or a smaller crop or clip_length, it starts anew.",
    )


@contextlib.contextmanager
def closing_loader(batches: Generator[Batch, None, None], step: Callable[[], int]) -> Iterator[None]:
    """End the loader with the block. A worker that died, which torch raises anywhere, or hangs is a TrainingError."""
    try:
        yield
    except BaseException as error:
        with torchs_signal_off():
            batches.close()
            let_go(error)
        if not isinstance(error, RuntimeError):
            raise
        if "DataLoader worker" in str(error):
            fault = f"a loader worker died: {error} Often it ran out of memory: lower num_workers."
        elif "DataLoader timed out" in str(error):
            fault = f"step {step()}: no loader worker made a batch ({error}). Does a disk or a decoder hang?"
        else:
            raise
        raise TrainingError(f"{fault} Start again to go on from the last checkpoint.") from error
    with torchs_signal_off():
        batches.close()


def let_go(error: BaseException | None) -> None:
    """Of what the frames of an error hold: torch ends the workers of a loader when nobody holds it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def torchs_signal_off() -> Iterator[None]:
    """The end of a worker shall not raise again while we clean up after it."""
    torchs_own = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, torchs_own)
