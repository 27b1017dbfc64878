"""One Snakemake at a time for the results of a challenge; one that was killed keeps nobody out.

The lock is the operating system's, on a file among the results: it ends with its process, however that ends. Some
network file systems share such locks between machines (NFS), others do not (Lustre without `-o flock`). So the file
also says who is at work and counts the seconds; a start on another machine first watches whether it still counts.
"""

import atexit
import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lgdnet.artefact import full_disk_explained
from lgdnet.errors import InputError
from lgdnet.log import say

NAME = ".at-work"  # of the file, in the results of a challenge
BEAT_SEC, SILENT_SEC = 5.0, 30.0  # between two counts; without one, its process is gone
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
WIDTH = 1024  # the file always has one size, so that nobody reads half of it


@dataclass(frozen=True)
class Holder:
    """The Snakemake that is at work, or was last; where it logs, and how often it has counted."""

    host: str
    pid: int
    since: str
    log: str
    beat: int = 0
    ended: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def take(path: Path, log: str, *, beat_sec: float = BEAT_SEC, silent_sec: float = SILENT_SEC) -> None:
    """Hold the lock until this process ends. Errors: InputError when another one is at work, or nothing can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    shared = True  # with the other processes of this machine at least
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise refused(path, holder(path)) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise InputError(f"{path}: {error.strerror}.") from None
        shared = False
    before = holder(path)
    if before is not None and not before.ended and not (shared and before.host == socket.gethostname()):
        wait_for_silence(path, before, silent_sec)
    own = Holder(socket.gethostname(), os.getpid(), time.strftime("%H:%M:%S on %d %B"), log)
    with full_disk_explained(path):
        write(file, own)
    ended = threading.Event()
    counting = threading.Thread(target=count, args=(file, own, beat_sec, ended), daemon=True)
    counting.start()
    atexit.register(release, file, ended, counting)


def refused(path: Path, other: Holder | None) -> InputError:
    who = f" ({other})" if other else ""
    return InputError(
        f"{path.parent}: another snakemake is at work on these results{who}. `lgdnet status` shows how far it is. "
        "Nothing was started."
    )


def wait_for_silence(path: Path, before: Holder, silent_sec: float) -> None:
    """Until the holder on another machine has not counted for so long. Errors: InputError when it counts."""
    say(f"{before} was at work on {path.parent}; waiting {silent_sec:.0f} s to see whether it still is")
    end = time.monotonic() + silent_sec
    while time.monotonic() < end:
        time.sleep(min(silent_sec / 10, 1))
        now = holder(path)
        if now is not None and now != before:
            raise refused(path, now)


def count(file: int, own: Holder, beat_sec: float, ended: threading.Event) -> None:
    """Until this process ends; then say so, and other machines need not wait to see it."""
    while not own.ended:
        own = replace(own, beat=own.beat + 1, ended=ended.wait(beat_sec))
        with contextlib.suppress(OSError):  # a full disk is the jobs' trouble
            write(file, own)


def write(file: int, own: Holder) -> None:
    os.pwrite(file, json.dumps(asdict(own)).ljust(WIDTH).encode(), 0)
    os.fsync(file)


def release(file: int, ended: threading.Event, counting: threading.Thread) -> None:
    ended.set()
    counting.join()
    os.close(file)


def holder(path: Path) -> Holder | None:
    """Who is at work, or was last; None before anybody. Opened anew, since network file systems look only then."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(path.read_text(encoding="utf-8", errors="replace")))
    return None
