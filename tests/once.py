"""What several tests need is made once, also where they run in several processes (pytest-xdist)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """`folder / name`, made by the process that needs it first; what a failed attempt left is kept for a look."""
    with FileLock(folder / f"{name}.lock"):
        if not (folder / f"{name}.made").exists():
            make(folder / name)
            (folder / f"{name}.made").touch()
    return folder / name
