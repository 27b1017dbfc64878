"""Processes of this machine, as /proc tells of them."""

import contextlib
import os
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and is not waited for yet does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def words(pid: int) -> str:
    """What a process calls itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return ""


def parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def with_variable(name: str, value: str) -> list[int]:
    """Processes that were started with this environment variable."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{name}={value}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found
