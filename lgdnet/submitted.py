"""Jobs that a Snakemake gave to a cluster and waits for, kept so that a start after a killed one knows them.

While such a job runs on, a second copy of it must not be started. When its files become whole without Snakemake,
what made them (settings, inputs, command) must not be lost: only then does a changed setting make them anew.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgdnet.artefact import digest, write_json

FOLDER = Path(".snakemake/lgdnet-jobs")


@dataclass(frozen=True)
class Submitted:
    """A job in the queue: its number there (`12`, or `12_3` of an array), its files, and Snakemake's record of them."""

    slurm_id: str
    outputs: list[str]
    record: dict[str, Any]
    path: Path

    def made(self) -> float | None:
        """When its files were whole; None before. Those from before it was given to the cluster do not count."""
        try:
            given = self.path.stat().st_mtime  # by the clock of the same file system
            times = [Path(name).stat().st_mtime for name in self.outputs]
        except OSError:
            return None
        return max(times) if min(times) >= given else None


def note(slurm_id: str, outputs: Iterable[str], record: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Keep a job until it is waited for; an earlier attempt at the same files is replaced."""
    names = [str(name) for name in outputs]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(file_of(names, folder), {"slurm_id": slurm_id, "outputs": names, "record": dict(record)})


def forget(outputs: Iterable[str], folder: Path = FOLDER) -> None:
    """Its files are whole and written down, by Snakemake or by us."""
    file_of([str(name) for name in outputs], folder).unlink(missing_ok=True)


def noted(results: str, folder: Path = FOLDER) -> Iterator[Submitted]:
    """Jobs for files under `results` that were given to the cluster and not waited for."""
    for path in sorted(folder.glob("*.json")):
        try:
            found = Submitted(**json.loads(path.read_text(encoding="utf-8")), path=path)
        except (OSError, ValueError, TypeError):
            continue  # waited for just now, by the Snakemake that runs
        if all(name.startswith(results) for name in found.outputs):
            yield found


def file_of(outputs: list[str], folder: Path) -> Path:
    return folder / f"{digest(outputs)}.json"
