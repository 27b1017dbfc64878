"""Work in processes that can be killed: a decoder that spins for ever costs one file, not the run.

A worker is a fresh Python process that imports one function and answers calls over a socket. It is started
with `subprocess`, not `multiprocessing`, so that it also works inside a daemonic loader process. Only the
standard library is used; the worker imports what its function needs, once.
"""

import collections
import contextlib
import importlib
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple


class Failure(NamedTuple):
    """A call without a result. `kind`: "timeout", "crash" (the process died) or "error" (it raised)."""

    kind: str
    message: str


class Worker:
    """One process that answers `target(*args)`; `target` is "package.module:function".

    `memory_gib` bounds the address space of the process, so that a decompression bomb ends as an error.
    """

    def __init__(self, target: str, *, memory_gib: float | None = None, pass_fds: Sequence[int] = ()) -> None:
        self.target = target
        self.memory_gib = memory_gib
        self.pass_fds = tuple(pass_fds)
        self.owner = os.getpid()  # a forked copy of this object must not kill the process
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None

    def start(self) -> None:
        """Start the process; nothing when it runs."""
        if self.process is not None:
            return
        ours, theirs = socket.socketpair()
        package_root = str(Path(__file__).parent.parent)
        path = os.pathsep.join(p for p in (package_root, os.environ.get("PYTHONPATH", "")) if p)
        code = (
            "import sys; from lgdnet.watchdog import serve; serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.fileno()), self.target, str(self.memory_gib or "")],
            pass_fds=(theirs.fileno(), *self.pass_fds),
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            # A new session: Ctrl-C reaches the parent alone, which then stops its workers.
            start_new_session=True,
        )
        theirs.close()
        self.connection = Connection(ours.detach())

    def send(self, *args: Any) -> None:
        """Begin a call. A process that died meanwhile is noticed when its result is awaited."""
        self.start()
        assert self.connection is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(args)

    def receive(self, timeout_sec: float) -> Any:
        """The result, or a `Failure`; after a timeout or a crash the process is gone and the next call starts
        another.
        """
        assert self.connection is not None and self.process is not None
        try:
            if not self.connection.poll(max(timeout_sec, 0)):
                self.stop()
                return Failure("timeout", "no answer within the time limit")
            is_result, value = self.connection.recv()
        except (EOFError, ConnectionResetError, OSError):
            code = self.process.wait()
            self.stop()
            return Failure("crash", f"the process ended with code {code}")
        return value if is_result else Failure("error", value)

    def call(self, *args: Any, timeout_sec: float) -> Any:
        """`target(*args)`, or a `Failure`."""
        self.send(*args)
        return self.receive(timeout_sec)

    def stop(self) -> None:
        """Kill the process; SIGKILL, because a spinning decoder is deaf to anything less."""
        if self.connection is not None:
            self.connection.close()
        if self.process is not None and self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
        self.process = self.connection = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.stop()


def serve(fd: int, target: str, memory_gib: str) -> None:
    """The worker's side: answer calls until the other end closes."""
    die_with_parent()
    if memory_gib:
        import resource

        limit = int(float(memory_gib) * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection = Connection(fd)
    module, function = target.split(":")
    call = getattr(importlib.import_module(module), function)
    while True:
        try:
            args = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (True, call(*args))
        except Exception as error:
            answer = (False, "".join(traceback.format_exception_only(error)).strip())
        connection.send(answer)


def die_with_parent() -> None:
    """Linux: no orphan keeps spinning after its parent was killed."""
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def killable_map(
    target: str,
    calls: Iterable[tuple[Any, ...]],
    *,
    num_workers: int,
    timeout_sec: float,
    memory_gib: float | None = None,
) -> Iterator[tuple[int, Any]]:
    """(position, result or `Failure`) of every call, in the order in which they end.

    Every call has `timeout_sec` of wall time; at most `num_workers` run at once.
    """
    pending = enumerate(calls)
    idle = collections.deque(Worker(target, memory_gib=memory_gib) for _ in range(num_workers))
    busy: dict[Connection, tuple[Worker, int, float]] = {}
    try:
        while True:
            while idle and (job := next(pending, None)) is not None:
                worker = idle.popleft()
                worker.send(*job[1])
                assert worker.connection is not None
                busy[worker.connection] = (worker, job[0], time.monotonic() + timeout_sec)
            if not busy:
                return
            nearest = min(deadline for _, _, deadline in busy.values())
            ready = wait(list(busy), timeout=max(nearest - time.monotonic(), 0))
            now = time.monotonic()
            late = [c for c, (_, _, deadline) in busy.items() if deadline <= now and c not in ready]
            for connection in [*ready, *late]:
                worker, position, _ = busy.pop(connection)  # type: ignore[call-overload]
                outcome = worker.receive(0)
                idle.append(worker)
                yield position, outcome
    finally:
        for worker, _, _ in busy.values():
            worker.stop()
        for worker in idle:
            worker.stop()
