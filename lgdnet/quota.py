"""How much room a folder has: free space of its file system, and the quotas that the file system reports."""

import getpass
import grp
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/mounts")
COLUMNS = 9  # file system; kB used, quota, limit, grace; files used, quota, limit, grace


@dataclass(frozen=True)
class Quota:
    """Of one user or group on one file system; 0 is no limit."""

    whose: str
    used_gb: float
    limit_gb: float
    files: int
    max_files: int

    @property
    def free_gb(self) -> float | None:
        return self.limit_gb - self.used_gb if self.limit_gb else None

    @property
    def free_files(self) -> int | None:
        return self.max_files - self.files if self.max_files else None

    def describe(self) -> str:
        """`quota of bob on /scratch: 400 of 1,000 GB, 10,000 of 500,000 files`"""
        gb = f"{self.used_gb:,.0f} of {self.limit_gb:,.0f} GB" if self.limit_gb else ""
        files = f"{self.files:,} of {self.max_files:,} files" if self.max_files else ""
        return f"quota of {self.whose}: {', '.join(filter(None, (gb, files)))}"


def quotas(folder: Path) -> list[Quota]:
    """What limits this user there, by `quota` (also over NFS) and by `lfs quota` (Lustre); none where neither knows."""
    user, source = getpass.getuser(), mounted_from(folder)
    found = list(parsed(words_of("quota", "--no-wrap", "--raw-grace"), user, source))
    for kind, name in (("-u", user), ("-g", group())):
        found += parsed(words_of("lfs", "quota", kind, name, str(folder)), name)
    return [quota for quota in found if quota.limit_gb or quota.max_files]


def parsed(text: str, whose: str, source: str = "") -> Iterator[Quota]:
    """Quotas in what both programs print; those of the file system `source`, or all.

    A long name of a file system may stand on a line of its own; sentences may follow the table.
    """
    rows = text.partition("Filesystem")[2].partition("\n")[2]
    values = " ".join(line for line in rows.splitlines() if "quota" not in line.lower()).split()
    for start in range(0, len(values) - COLUMNS + 1, COLUMNS):
        name, *numbers = values[start : start + COLUMNS]
        if source and name != source:
            continue
        try:
            kb, soft, hard, files, most_soft, most_hard = (
                int(numbers[i].strip("*[]")) for i in (0, 1, 2, 4, 5, 6)
            )
        except ValueError:  # a layout that we do not know
            return
        limit, most = soft or hard, most_soft or most_hard
        yield Quota(f"{whose} on {name}", kb * 1024 / 1e9, limit * 1024 / 1e9, files, most)


def words_of(*command: str) -> str:
    """Standard output, whatever the exit code: `quota` fails for whoever is over it. "" where it is missing."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def group() -> str:
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())


def mounted_from(folder: Path) -> str:
    """Device or server of the file system that a folder lies on, as the mount table names it."""
    best, source = "", ""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        device, point, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, source = point, device
    return source
