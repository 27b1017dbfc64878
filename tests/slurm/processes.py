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


def jobs_of(slurm_conf: Path) -> list[int]:
    """Processes that this Slurm started as jobs; the shell of someone who talks to it is none."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (path / "environ").read_bytes().split(b"\0")
            in_a_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
            if in_a_job and f"SLURM_CONF={slurm_conf}".encode() in variables:
                found.append(int(path.name))
    return found
