"""Videos probed in processes that can be killed, and what was found kept in a journal."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lgdnet.artefact import digest
from lgdnet.log import progress, warn
from lgdnet.settings import ManifestSettings
from lgdnet.video.probe import Probe
from lgdnet.watchdog import Failure, killable_map

PROBE_MEMORY_GIB = 8.0  # address space of a probing process; a decompression bomb ends as an error
# How the reason begins where reading raised what no damage is known to raise.
UNEXPECTED = "reading it ends in an error that is not expected"
# Who looks at a file, in a process of its own.
PROBERS = {"video": "lgdnet.video.probe:probe_as_dict", "sound": "lgdnet.audio.probing:probe_as_dict"}


def probe_options(settings: ManifestSettings) -> dict[str, Any]:
    """What `probe` is asked."""
    return {
        "min_frames": settings.min_frames,
        "max_damaged_share": settings.max_damaged,
        "max_pixels": settings.max_pixels,
        "max_frames": settings.max_frames,
        "backend": settings.reader,
    }


def probe_all(
    paths: list[str],
    video_root: Path,
    options: dict[str, Any],
    *,
    journal: Path,
    known: Sequence[Path] = (),
    timeout_sec: float,
    num_workers: int,
    prober: str = "lgdnet.video.probe:probe_as_dict",
) -> pd.DataFrame:
    """One row per path with the fields of `Probe`.

    Every result is added to `journal` at once, so that a killed run goes on from there; `known` are other journals.
    """
    columns = list(Probe.__dataclass_fields__)
    asked = digest({**options, "prober": prober})
    keys = [probe_key(f"{video_root}/{path}", asked) if path else "" for path in paths]
    done = {key: values for path in (*known, journal) for key, values in read_known(path).items()}
    todo = [i for i, key in enumerate(keys) if key and key not in done]
    outcomes = killable_map(
        prober,
        ((f"{video_root}/{paths[i]}", options) for i in todo),
        num_workers=num_workers,
        timeout_sec=timeout_sec,
        memory_gib=PROBE_MEMORY_GIB,
    )
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        for position, outcome in progress(
            outcomes, what="probe", total=len(paths), done=len(paths) - len(todo), unit="videos"
        ):
            found = verdict_of(outcome, timeout_sec)
            if found["reason"].startswith(UNEXPECTED):
                warn(f"{video_root}/{paths[todo[position]]}: {found['reason']}; called undecodable")
            values = tuple(found[c] for c in columns)
            key = keys[todo[position]]
            done[key] = values
            file.write(json.dumps([key, *values]) + "\n")
            file.flush()
    missing = Probe("missing", "no such file under the video root")  # needs no process
    done[""] = tuple(getattr(missing, c) for c in columns)
    return pd.DataFrame([done[key] for key in keys], columns=columns)


def probe_key(path: str, asked: str) -> str:
    """Changes when the file or the question changes; "" for a file that is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116 (650,000 times)
    except OSError:
        return ""
    return f"{path}|{status.st_size}|{status.st_mtime_ns}|{asked}"


def read_known(path: Path) -> dict[str, tuple[Any, ...]]:
    """Results of earlier runs by key; a last line cut short by a kill is dropped."""
    known: dict[str, tuple[Any, ...]] = {}
    num_columns = len(Probe.__dataclass_fields__)
    for line in lines_if_any(path):
        try:
            key, *values = json.loads(line)
        except ValueError:
            continue
        if len(values) == num_columns:
            known[key] = tuple(values)
    return known


def lines_if_any(path: Path) -> Iterator[str]:
    """Lines of a text file, none if there is no file."""
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            yield from file


def verdict_of(outcome: Any, timeout_sec: float) -> dict[str, Any]:
    """A probe's fields; a hanging or crashing decoder is a verdict too."""
    if not isinstance(outcome, Failure):
        return {**Probe("").__dict__, **outcome}
    if outcome.kind == "error" and not outcome.message.startswith("MemoryError"):
        message = " ".join(outcome.message.split())
        return {**Probe("undecodable", f"{UNEXPECTED} ({message})").__dict__}
    reason = {
        "timeout": f"the decoder did not finish within {timeout_sec:g} s",
        "crash": f"the decoder crashed ({outcome.message})",
        "error": "the decoder needs more memory than it may have",
    }[outcome.kind]
    return {**Probe("undecodable", reason).__dict__}
