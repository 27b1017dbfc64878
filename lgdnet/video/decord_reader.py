"""decord, in a process of its own that can be killed.

decord is quick at random access, but it can spin for ever without releasing the interpreter (dmlc/decord
#375, #373), and for many containers it returns other frames than the ones asked for. So it only reads files
where `probe` found it exact, and always behind a time limit. Frames come back through shared memory.
"""

import mmap
import os
from pathlib import Path

import numpy as np

from lgdnet.clips import scaled_size
from lgdnet.ffmpeg import name_for_ffmpeg
from lgdnet.watchdog import Failure, Worker

# T frames, H x W pixels

TIME_LIMIT_SEC = 20.0

# One process and one block of shared memory per process that reads; a forked loader makes its own.
_readers: dict[int, tuple[Worker, int]] = {}


def is_installed() -> bool:
    """decord has wheels for Linux on x86-64 only."""
    import importlib.util

    return importlib.util.find_spec("decord") is not None


def reader() -> tuple[Worker, int]:
    """This process's worker and the file descriptor of its shared memory."""
    pid = os.getpid()
    if pid not in _readers:
        fd = os.memfd_create("lgdnet-frames")
        _readers[pid] = (Worker("lgdnet.video.decord_reader:decode_into", pass_fds=[fd]), fd)
    return _readers[pid]


def read_with_decord(path: Path, wanted: np.ndarray, *, short_side: int | None) -> np.ndarray | Failure:
    """Sorted frame numbers. -> (len(wanted), H, W, 3) uint8, or why not"""
    worker, fd = reader()
    shape = worker.call(fd, str(path), wanted.tolist(), short_side, timeout_sec=TIME_LIMIT_SEC)
    if isinstance(shape, Failure):
        return shape
    with mmap.mmap(fd, int(np.prod(shape)), prot=mmap.PROT_READ) as memory:
        return np.frombuffer(memory, np.uint8).reshape(shape).copy()


def decode_into(fd: int, path: str, wanted: list[int], short_side: int | None) -> tuple[int, ...]:
    """The worker's side: frames into shared memory. -> their shape"""
    import cv2
    import decord

    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.QUIET)
    video = decord.VideoReader(name_for_ffmpeg(path), num_threads=1)
    if wanted[-1] >= len(video):
        raise ValueError(f"decord sees {len(video)} frames, frame {wanted[-1]} was asked for")
    frames = video.get_batch(wanted).asnumpy()
    H, W = scaled_size(*frames.shape[1:3], short_side=short_side)
    shape = (len(frames), H, W, 3)
    os.ftruncate(fd, int(np.prod(shape)))
    with mmap.mmap(fd, int(np.prod(shape))) as memory:
        out = np.frombuffer(memory, np.uint8).reshape(shape)
        for i, frame in enumerate(frames):
            out[i] = (
                frame
                if frame.shape[:2] == (H, W)
                else cv2.resize(frame, (W, H), interpolation=cv2.INTER_AREA)
            )
        del out  # the memory cannot be closed while an array looks at it
    return shape
