"""What a run of Snakemake did, read from the log that it writes while it runs (`.snakemake/log/*.log`)."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from lgdnet import one_start
from lgdnet.artefact import write_text
from lgdnet.errors import InputError

LOGS = Path(".snakemake/log")
BLOCK = re.compile(r"^(?:localrule|rule|checkpoint) (\w+):$")
FAULT = re.compile(r"^Error in (?:rule|group) (\w+):$")
ARRAY = re.compile(
    r"^Submitted array job with Snakemake IDs ([\d,]+) and SLURM job ID (\d+)\. The individual task IDs are (\d+)-"
)
FIELD = re.compile(r"^    (\w+): (.*)$")
TIME = re.compile(r"^\[(\w{3} \w{3} .\d \d\d:\d\d:\d\d \d{4})\]$")


@dataclass
class Job:
    """One job of a run, as far as it has come."""

    rule: str
    fields: dict[str, str] = field(default_factory=dict)  # wildcards, log, resources, reason, ...
    state: Literal["running", "done", "failed"] = "running"
    message: str = ""  # why the last attempt failed
    attempts: int = 0
    logs_of_fault: str = ""  # the stage's and Slurm's
    slurm_id: str = ""
    begun: float = 0.0  # when its last attempt was started or submitted, in seconds since 1970

    @property
    def wildcards(self) -> dict[str, str]:
        """`stream=frame16, split=validation` as a mapping."""
        return dict(
            part.split("=", 1) for part in self.fields.get("wildcards", "").split(", ") if "=" in part
        )

    @property
    def log(self) -> Path | None:
        """The stage's own log, the first that the rule names."""
        name = self.fields.get("log", "").split(",")[0].split(" (check log")[0].strip()
        return Path(name) if name else None

    @property
    def slurm_log(self) -> Path | None:
        """What Slurm wrote of the attempt that failed; None without."""
        name = self.logs_of_fault.split(" (check log")[0].split(",")[-1].strip()
        path = Path(name)
        # Of a task of an array the plugin names a folder too much.
        there = [one for one in (path, path.parent.parent / path.name) if one.is_file()]
        return there[0] if there and self.slurm_id and self.slurm_id in path.name else None


@dataclass
class Run:
    """A run: how many jobs of each rule it planned, and those it started."""

    path: Path
    planned: dict[str, int] = field(default_factory=dict)
    whole: dict[str, int] = field(
        default_factory=dict
    )  # with those that were finished before; may be unknown
    jobs: dict[str, Job] = field(default_factory=dict)
    ended: bool = False

    def of(self, state: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.state == state]


def newest_log(folder: Path = LOGS) -> Path:
    """The log of the run that is at work, or was last. Errors: InputError before the first one.

    Not that of a start that was refused because another one is at work.
    """
    workers = [one_start.holder(path) for path in folder.parent.parent.glob(f"results/*/{one_start.NAME}")]
    logs = [folder / Path(worker.log).name for worker in workers if worker]
    logs = [path for path in logs if path.is_file()] or list(folder.glob("*.snakemake.log"))
    logs = sorted(path for path in logs if path.stat().st_size)
    if not logs:
        raise InputError(f"{folder}: no run has been logged here. Type this where you typed snakemake.")
    return logs[-1]


def read_log(path: Path) -> Run:
    """A log, whether or not its run has ended. Errors: InputError when it is not there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        run = parsed(text, path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    if text and not run.jobs and "snakemake" not in text.lower() and "Building DAG" not in text:
        raise InputError(f"{path}: no log of Snakemake. They lie in {LOGS}.")
    with contextlib.suppress(OSError, ValueError):
        counts = json.loads(stages_file(path).read_text(encoding="utf-8"))
        if isinstance(counts, dict) and all(isinstance(count, int) for count in counts.values()):
            run.whole = counts
    return run


def write_stages(log: Path, rules: Iterable[str]) -> None:
    """Beside a run's log: how many jobs of each rule its whole DAG has, in order, finished ones included."""
    write_text(stages_file(log), json.dumps(Counter(rules)))


def stages_file(log: Path) -> Path:
    return log.with_name(log.name + ".stages.json")


def parsed(text: str, path: Path = Path("-")) -> Run:
    """A run from what Snakemake printed; of a dry run, its jobs are what would run."""
    lines = own_lines(text.splitlines())
    run, time = Run(path, planned=dict(planned_jobs(lines))), 0.0
    for index, line in enumerate(lines):
        if match := TIME.match(line):
            time = datetime.strptime(match[1], "%a %b %d %H:%M:%S %Y").timestamp()
        elif match := BLOCK.match(line):
            fields = fields_of(lines[index + 1 :])
            job = run.jobs.setdefault(fields.get("jobid", ""), Job(match[1]))
            job.rule, job.fields, job.state, job.begun = match[1], fields, "running", time
            job.attempts += 1
        elif match := FAULT.match(line):
            fields = fields_of(with_short_message(lines[index + 1 :]))
            job = run.jobs.setdefault(fields.get("jobid", ""), Job(match[1], fields))
            job.state, job.message = "failed", fields.get("message", "")
            job.logs_of_fault = fields.get("log", "")
        elif match := re.match(r"^Finished jobid: (\d+)", line):
            run.jobs.setdefault(match[1], Job("?")).state = "done"
        elif match := re.match(r"^Job (\d+) has been submitted with SLURM jobid (\d+)", line):
            run.jobs.setdefault(match[1], Job("?")).slurm_id = match[2]
        elif match := ARRAY.match(line):
            for number, jobid in enumerate(match[1].split(","), int(match[3])):
                run.jobs.setdefault(jobid, Job("?")).slurm_id = f"{match[2]}_{number}"
        elif match := re.match(r"^Trying to restart job (\d+)", line):
            run.jobs.setdefault(match[1], Job("?")).state = "running"
        elif line.startswith("Complete log"):
            run.ended = True
    return run


def own_lines(lines: list[str]) -> list[str]:
    """Without the logs of failed jobs that Snakemake shows between double lines: that of Slurm has a Snakemake's words."""
    own, open_logs = [], []
    for index, line in enumerate(lines):
        is_rule = len(line) > 5 and not line.strip("=")
        if is_rule and index and lines[index - 1].startswith("Logfile ") and lines[index - 1].endswith(":"):
            open_logs.append(line)
        elif is_rule and line in open_logs:
            while open_logs.pop() != line:  # one in it that was cut off
                pass
        elif not open_logs:
            own.append(line)
    return own


def planned_jobs(lines: list[str]) -> Iterator[tuple[str, int]]:
    """The table `Job stats:`."""
    inside = False
    for line in lines:
        if line == "Job stats:":
            inside = True
        elif inside and (match := re.match(r"^(\w+)\s+(\d+)$", line)):
            if match[1] == "total":
                return
            yield match[1], int(match[2])


def with_short_message(lines: list[str]) -> list[str]:
    """Lines of a fault without the rest of a long message: the call of sbatch, and words that begin where a line begins."""
    end = next((i for i, line in enumerate(lines) if not line or TIME.match(line)), len(lines))
    place = next((i for i, line in enumerate(lines[:end]) if line.startswith("    jobid: ")), None)
    if not place or not lines[0].startswith("    message: "):
        return lines
    return [lines[0], *lines[place:]]


def fields_of(lines: list[str]) -> dict[str, str]:
    """`    name: value` lines up to the first that is not indented."""
    found = {}
    for line in lines:
        if not line.startswith("    "):
            break
        if match := FIELD.match(line):
            found[match[1]] = match[2].strip()
    return found
