"""What every stage of every stream cost: the benchmark files of all jobs, gathered into cost.csv."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path

import pandas as pd

from lgdnet.artefact import write_text
from lgdnet.errors import InputError

COLUMNS = ["stage", "stream", "jobs", "wall_hours", "cpu_hours", "memory_mb", "gpu_hours"]
OWN = ("wall_sec", "cpu_sec", "memory_mb")  # wall time, processor time, memory in a job's own account
SNAKEMAKES = ("s", "cpu_time", "max_rss")  # and in Snakemake's benchmark file
OF_SPLIT = "(?:train|validation|test)"
# What the benchmark files of a stage are called behind the stream, joint network, fusion or tool that they are of.
OWNED = {
    "fit_check": "",
    "train": "",
    "dump": rf"-{OF_SPLIT}(?:-[1-9]\d*)?-\d+",
    "fit_aggregator": "-[^-]+",
    "aggregate": f"-[^-]+-{OF_SPLIT}",
    "fit_joint": "",
    "aggregate_joint": f"-{OF_SPLIT}",
    "import_scores": f"-{OF_SPLIT}",
    "fuse": "",
    "apply_fusion": f"-{OF_SPLIT}",
}


@dataclass(frozen=True)
class Cost:
    """Of one job: all its attempts where they are on record, else the last one."""

    stage: str
    stream: str
    wall_sec: float
    cpu_sec: float
    memory_mb: float
    gpu_sec: float


def run(benchmarks: Path, out: Path, *, gpus: Mapping[str, int]) -> None:
    """Sum the files under `benchmarks` per stage and owner: a stream, joint network, fusion or other tool.

    `gpus`: how many a job of a stage asked for.
    """
    if not benchmarks.is_dir():
        raise InputError(f"{benchmarks}: no such folder. Name results/<challenge>/benchmarks.")
    jobs = pd.DataFrame([cost_of(path, benchmarks, gpus) for path in sorted(benchmarks.rglob("*.tsv"))])
    rows = []
    for (stage, stream), part in jobs.groupby(["stage", "stream"]) if len(jobs) else []:
        rows.append(
            {
                "stage": stage,
                "stream": stream,
                "jobs": len(part),
                "wall_hours": f"{part['wall_sec'].sum() / 3600:.4g}",
                "cpu_hours": f"{part['cpu_sec'].sum() / 3600:.4g}",
                "memory_mb": f"{part['memory_mb'].max():.0f}",
                "gpu_hours": f"{part['gpu_sec'].sum() / 3600:.4g}",
            }
        )
    write_text(out, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n"))


def cost_of(path: Path, benchmarks: Path, gpus: Mapping[str, int]) -> Cost:
    """Of one benchmark file, `{stage}.tsv` or `{stage}/....tsv`."""
    stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
    named = re.fullmatch(f"(.+){OWNED[stage]}", path.stem) if stage in OWNED else None
    stream = named[1] if named else ""
    usage = benchmarks.parent / "logs" / path.relative_to(benchmarks).with_suffix(".usage.csv")
    # The job's own account has every attempt, and the processes of a job step.
    own = rows_of(usage, ",") if usage.exists() else []
    names, rows = (OWN, of_last_settings(own)) if own else (SNAKEMAKES, rows_of(path, "\t"))
    wall_sec, cpu_sec, memory_mb = ([number(row, name) for row in rows] for name in names)
    # GPUs that were asked for, but not more than the machine had.
    held = [min(gpus.get(stage, 0), number(row, "gpus") if own else inf) for row in rows]
    gpu_sec = sum(sec * count for sec, count in zip(wall_sec, held, strict=True))
    return Cost(stage, stream, sum(wall_sec), sum(cpu_sec), max(memory_mb, default=0.0), gpu_sec)


def of_last_settings(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Attempts with the settings of the last one: earlier ones made what has since been replaced."""
    return [row for row in rows if row.get("settings") == rows[-1].get("settings")]


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter=delimiter))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: damaged ({error}). Delete it: this job then costs nothing.") from None


def number(row: Mapping[str, str], name: str) -> float:
    """0 where Snakemake measured nothing (`NA`, `-`): jobs of less than a moment."""
    try:
        found = float(row.get(name) or 0)
    except ValueError:
        return 0.0
    return found if isfinite(found) else 0.0
