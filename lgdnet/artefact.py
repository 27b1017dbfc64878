"""Files that are whole or absent, and that know where they came from.

Every artefact is written under a temporary name beside its final place, flushed to disk and renamed, and
carries its settings, the code version and the digests of its inputs.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from lgdnet import __version__
from lgdnet.errors import InputError
from lgdnet.log import warn

UMASK = os.umask(0o077)  # it can only be read by setting it, which is safe while nothing else runs
os.umask(UMASK)
METADATA_KEY = "lgdnet"  # of the one entry of text in a safetensors file: JSON


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed when not.

    The name carries the process id, so that two processes never write into one temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield tmp
        share(tmp)
        flush_to_disk(tmp)
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)


def share(path: Path) -> None:
    """Let read and write it whom the umask lets: some libraries write through files of 0600, closed to colleagues."""
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = mode | (0o666 & ~UMASK)
    if wanted != mode:
        with contextlib.suppress(OSError):  # a file system without modes of its own: its mount decides
            path.chmod(wanted)


def disk_is_full(error: Exception) -> bool:
    """Whether that is what it says; libraries that write have errors of their own for it."""
    known = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return known or any(word in str(error).lower() for word in ("no space left", "quota"))


@contextlib.contextmanager
def full_disk_explained(path: Path, kind: type[InputError] = InputError) -> Iterator[None]:
    """Turn what says that the disk is full into one line. Errors: `kind`."""
    try:
        yield
    except Exception as error:
        if not disk_is_full(error):
            raise
        raise kind(f"{path}: not written, the disk is full. Free some space and start again.") from None


def open_alone(path: Path, kind: type[InputError] = InputError) -> BinaryIO:
    """A file to read and to write, new or as it is, that one process has at a time. Errors: `kind` for a second one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise kind(f"{path}: another process is writing it; wait for it to end or stop it first.") from None
    except OSError:  # a network file system without locks: the atomic rename still keeps the result whole
        warn(f"{path}: this file system has no locks; make sure that only one process writes here")
    return file


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Delete temporary files of processes that were killed while they wrote `name`. Nobody may be writing it."""
    for path in folder.glob(f"{name}.*.tmp"):
        path.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """fsync of a closed file: after a power cut the renamed file is the whole file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_text(path: Path, text: str) -> None:
    """UTF-8 text, whole or not at all."""
    with atomic(path) as tmp:
        tmp.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """First 12 hex digits of the sha256 of a JSON value; key order does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def code_version() -> str:
    """The package version and, in a git checkout, the commit: `0.1.0+1a2b3c4` (`.dirty` if files changed)."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return __version__
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__}+{commit.stdout.strip()}" + (".dirty" if status.stdout.strip() else "")


def provenance(settings: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, str]:
    """What every artefact carries: settings (JSON), digests of its inputs (JSON) and the code version."""
    return {
        "settings": json.dumps(settings, sort_keys=True),
        "inputs": json.dumps(inputs, sort_keys=True),
        "code_version": code_version(),
    }
