"""What a run would do, before anything is submitted: which jobs and why, GPU-hours, CPU-hours, disk."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lgdnet.errors import InputError
from lgdnet.rates import Hours, Measured, assumptions
from lgdnet.settings import KIND_OF_RULE, Challenge, read_challenge
from lgdnet.workflow_log import Job, parsed

CHATTER = ("Using ", "Assuming ", "Complete log")
FOLLOWS = "follows another job"
SMALL_JOB_HOURS = 0.05  # of tables and the like, which have no limit of their own
REASONS = {
    "Input files updated by another job": FOLLOWS,
    "Set of input files has changed": "another list of inputs",
    "Forced execution": "forced",
    "Code has changed": "changed code",
}


def run(config: Path, *, targets: Sequence[str] = (), data_root: Path | None = None) -> str:
    """A table per stage, and why its jobs would run. Errors: InputError with Snakemake's words."""
    challenge = read_challenge(config)
    options = []
    if data_root is not None:
        challenge = challenge.model_copy(update={"data_root": data_root})
        options = ["--config", f"data_root={data_root}"]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *targets,  # behind --configfile they would be taken for files of settings
        "--dry-run",
        "--nolock",
        "--nocolor",
        "--configfile",
        str(config),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{config}: {fault_of(done.stderr + done.stdout)}")
    jobs = [
        job for job in parsed(done.stdout + done.stderr).jobs.values() if job.rule not in ("all", *targets)
    ]
    if not jobs:
        return "nothing to be done"
    measured = Measured(challenge, Path("results") / challenge.challenge)
    return "\n".join([*table(challenge, jobs, measured), "", *assumptions(), "", *why(jobs)])


def fault_of(text: str) -> str:
    """What Snakemake said of why there is no plan, on one line."""
    text = text.rpartition("Building DAG of jobs...")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(CHATTER)]
    if "affected files:" in lines:
        rule = next((line for line in lines if line.startswith("Missing input files for rule")), "missing:")
        return f"{rule} {', '.join(lines[lines.index('affected files:') + 1 :])}"
    return " ".join(lines[-2:]) or "snakemake --dry-run failed without a word"


def table(challenge: Challenge, jobs: Sequence[Job], measured: Measured) -> Iterator[str]:
    """One line per stage; where its hours come from stands at the end."""
    yield f"{'stage':18s} {'jobs':>6s} {'GPU-hours':>10s} {'CPU-hours':>10s} {'disk GB':>8s}  hours of a job from"
    sums = [0.0, 0.0, 0.0, 0.0]
    stages: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        stages[job.rule].append(job)
    for rule, own in stages.items():
        kind = getattr(challenge.jobs, KIND_OF_RULE.get(rule, rule), None)
        limit, gpus = (kind.hours, kind.gpus * kind.nodes) if kind else (SMALL_JOB_HOURS, 0)
        hours = [measured.hours(rule, job.wildcards) or Hours(limit, "limit") for job in own]
        cpu = sum(
            hour.hours * int(job.fields.get("threads", 1)) for hour, job in zip(hours, own, strict=True)
        )
        gb = sum(measured.disk_gb(rule, job.wildcards) for job in own)
        line = [len(own), sum(hour.hours for hour in hours) * gpus, cpu, gb]
        sums = [total + value for total, value in zip(sums, line, strict=True)]
        sources = Counter(hour.source for hour in hours)
        source = ", ".join(name if len(sources) == 1 else f"{name} {n}" for name, n in sources.items())
        yield f"{row_of(rule, line)}  {source}"
    yield row_of("total", sums)


def row_of(name: str, numbers: Sequence[float]) -> str:
    """Jobs, GPU-hours, CPU-hours, GB."""
    gpu_hours, cpu_hours, gb = (f"{x:,.0f}" if x >= 100 else f"{x:.2f}" for x in numbers[1:])
    return f"{name:18s} {numbers[0]:6.0f} {gpu_hours:>10s} {cpu_hours:>10s} {gb:>8s}"


def why(jobs: Sequence[Job]) -> list[str]:
    """`train frame16: changed settings: train.learning_rate 0.2 -> 0.3`, jobs of one reason together."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for job in jobs:
        counts[job.rule, job.wildcards.get("stream", ""), reason(job)] += 1
    return [
        f"{rule}{f' {stream}' if stream else ''}{f' ({count} jobs)' if count > 1 else ''}: {because}"
        for (rule, stream, because), count in counts.items()
    ]


def reason(job: Job) -> str:
    """Snakemake's reasons in few words: of changed settings the keys, of a changed input the file."""
    text = job.fields.get("reason", "")
    found = [words for start, words in REASONS.items() if start in text]
    if changed := re.search(r"Updated input files: ([^;]+)", text):
        first, *others = changed[1].strip().split(", ")
        found.insert(0, f"changed input {first}" + (f" and {len(others)} more" if others else ""))
    if "Missing output files" in text:
        # The benchmark of a job is written when it is finished, and stays when its output is deleted.
        made_before = Path(job.fields.get("benchmark", "none")).exists()
        found.insert(0, "deleted" if made_before else "new")
    if "Params have changed" in text:
        found.insert(0, "changed settings" + changed_keys(text))
    if len(found) > 1 and FOLLOWS in found:
        found.remove(FOLLOWS)
    return ", ".join(found) or text


def changed_keys(text: str) -> str:
    """`: train.learning_rate 0.2 -> 0.3` from the settings before and now, where both are JSON."""
    halves = re.search(r"before: (.*?) now: (.*)", text)
    if halves is None:
        return ""
    before, now = (merged_settings(part) for part in halves.groups())
    keys = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    shown = [f"{key} {before.get(key, 'default')} -> {now.get(key, 'default')}" for key in keys[:4]]
    return ": " + ", ".join(shown) if shown else ""


def merged_settings(part: str) -> dict[str, Any]:
    """All settings among the quoted params of one half."""
    found: dict[str, Any] = {}
    for quoted in re.findall(r"'(?:[^'\\\\]|\\\\.)*'", part):
        try:
            found.update(flattened(json.loads(ast.literal_eval(quoted))))
        except (ValueError, SyntaxError):
            continue
    return found


def flattened(value: Any, path: str = "") -> dict[str, Any]:
    """`{"train": {"epochs": 3}}` as `{"train.epochs": 3}`."""
    if not isinstance(value, dict):
        return {path: value} if path else {}
    return {
        key: leaf
        for name, own in value.items()
        for key, leaf in flattened(own, f"{path}.{name}".lstrip(".")).items()
    }
