"""Time and memory of a command, as its own process used them.

python benchmarks/memory.py lgdnet report results/sample --out try/report.html
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

POLL_SEC = 0.05


@dataclass(frozen=True)
class Used:
    """What one process took. Children that it waited for are in the time, not in the memory."""

    status: int
    wall_sec: float
    cpu_sec: float
    peak_mib: float


def used_by(command: list[str], **options) -> Used:
    """Run `command` to its end; `options` go to `subprocess.Popen`.

    The peak is the kernel's VmHWM, read while the process lives. Not `ru_maxrss`: a child process begins with its
    parent's.
    """
    begin = time.monotonic()
    process = subprocess.Popen(command, **options)
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(POLL_SEC):
            peak = max(peak, resident_mib("VmHWM", process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall_sec = time.monotonic() - begin
    done.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Used(process.returncode, wall_sec, usage.ru_utime + usage.ru_stime, peak)


def resident_mib(which: str, pid: int | str = "self") -> float:
    """A size of a process, as the kernel states it: VmRSS now, VmHWM the largest. 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(which)), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="a program and its arguments")
    command = parser.parse_args().command
    if not command:
        parser.error("name a command")
    used = used_by(command)
    print(
        f"{used.wall_sec:.1f} s, {used.cpu_sec:.1f} s of processor, {used.peak_mib:.0f} MiB", file=sys.stderr
    )
    sys.exit(used.status)


if __name__ == "__main__":
    main()
