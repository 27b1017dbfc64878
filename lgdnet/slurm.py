"""Talking to Slurm: which jobs are in the queue, and ending them so that a training saves itself first."""

import shutil
import subprocess
import time
from collections.abc import Iterable

from lgdnet.errors import InputError
from lgdnet.log import say


def ask(*command: str, seconds: float = 60) -> str | None:
    """Standard output of one of Slurm's commands; None where it is missing, fails, or does not answer in time."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def in_queue(jobs: Iterable[str]) -> list[str]:
    """Those of `jobs` that wait, run or are just ending. Errors: InputError where the queue does not answer."""
    wanted = set(jobs)
    found = ask("squeue", "--me", "--noheader", "--format=%A") if wanted else ""
    if found is None:
        raise InputError("squeue does not answer; is this a machine that may submit jobs?")
    return sorted(wanted & set(found.split()), key=int)


def end_left_over(jobs: Iterable[str], *, patience_sec: float = 300) -> None:
    """End jobs of an earlier Snakemake that was killed, and wait until they are gone.

    A training is told first, saves itself and goes on at that step when it is started again. Errors: InputError
    when one does not end.
    """
    jobs = [job for job in jobs if job.isdigit()]
    left = in_queue(jobs) if jobs and shutil.which("squeue") else []
    if not left:
        return
    say(f"jobs of an earlier start are still in the queue; ending them: {' '.join(left)}")
    ask("scancel", *left)  # SIGTERM to every step, and SIGKILL after the cluster's KillWait
    begin = time.monotonic()
    while left := in_queue(left):
        if time.monotonic() - begin > patience_sec:
            raise InputError(
                f"still in the queue after {patience_sec:.0f} s: {' '.join(left)}. End them with scancel."
            )
        time.sleep(1)
