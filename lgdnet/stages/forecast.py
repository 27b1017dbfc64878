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

import pandas as pd

from lgdnet.errors import InputError
from lgdnet.settings import KIND_OF_RULE, Challenge, read_challenge
from lgdnet.workflow_log import Job, parsed

# Stated where nothing was measured.
FEATURE_WIDTH = 2048  # numbers of each of the two paths of a view
FLOW_FRAMES, FLOW_KB = 250, 12  # fields of a video of 10 s; kB of one at a short side of 256 pixels
MODEL_GB = 1.0  # a stream with its checkpoints
REASONS = {
    "Missing output files": "output is new or was deleted",
    "Updated input files": "changed input",
    "Input files updated by another job": "follows another job",
    "Set of input files has changed": "another list of inputs",
    "Forced execution": "forced",
    "Code has changed": "changed code",
}


def run(config: Path, *, targets: Sequence[str] = (), options: Sequence[str] = ()) -> str:
    """A table per stage, and why its jobs would run. Errors: InputError with Snakemake's words."""
    challenge = read_challenge(config)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--nolock",
        "--nocolor",
        "--configfile",
        str(config),
    ]
    done = subprocess.run([*command, *options, *targets], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{config}: " + (done.stderr or done.stdout).strip().splitlines()[-1])
    jobs = [
        job for job in parsed(done.stdout + done.stderr).jobs.values() if job.rule not in ("all", *targets)
    ]
    if not jobs:
        return "nothing to be done"
    return "\n".join([*table(challenge, jobs), "", *why(jobs)])


def table(challenge: Challenge, jobs: Sequence[Job]) -> Iterator[str]:
    """One line per stage; where its hours come from stands at the end."""
    measured = Measured(Path("results") / challenge.challenge)
    yield f"{'stage':18s} {'jobs':>6s} {'GPU-hours':>10s} {'CPU-hours':>10s} {'disk GB':>8s}  hours of a job"
    sums = [0.0, 0.0, 0.0, 0.0]
    stages: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        stages[job.rule].append(job)
    for rule, own in stages.items():
        kind = getattr(challenge.jobs, KIND_OF_RULE.get(rule, rule), None)
        limit, gpus = (kind.hours, kind.gpus * kind.nodes) if kind else (0.05, 0)
        hours = [measured.hours(rule, job.wildcards.get("stream", "")) for job in own]
        of_job = [limit if hour is None else hour for hour in hours]
        cpu = sum(hour * int(job.fields.get("threads", 1)) for hour, job in zip(of_job, own, strict=True))
        gb = disk_gb(challenge, rule, own, measured.folder)
        source = "its limit" if None in hours else "measured"
        line = [len(own), sum(of_job) * gpus, cpu, gb]
        sums = [total + value for total, value in zip(sums, line, strict=True)]
        yield f"{rule:18s} {line[0]:6d} {line[1]:10,.1f} {line[2]:10,.1f} {gb:8,.1f}  {source}"
    yield f"{'total':18s} {sums[0]:6.0f} {sums[1]:10,.1f} {sums[2]:10,.1f} {sums[3]:8,.1f}"
    yield ""
    yield "measured: cost.csv of an earlier run, or fit_check.txt. its limit: jobs: hours, so at most that."
    yield (
        f"disk: {FEATURE_WIDTH} numbers per path and view, {FLOW_FRAMES} flow fields of {FLOW_KB} kB per video "
        f"(short side 256), {MODEL_GB:g} GB per stream; assumptions of ours."
    )


class Measured:
    """Hours of one job, from earlier runs of this challenge."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = pd.DataFrame(columns=["stage", "stream", "jobs", "wall_hours"])
        if (folder / "cost.csv").exists():
            self.table = pd.read_csv(folder / "cost.csv", keep_default_na=False)

    def hours(self, rule: str, stream: str) -> float | None:
        """None where nobody measured."""
        stage = {
            "extract_flow": "flow",
            "audio_shard": "audio",
            "transcode": "media",
            "cache_shard": "cache",
        }.get(rule, rule)
        rows = self.table[(self.table["stage"] == stage) & self.table["stream"].isin([stream, ""])]
        if len(rows):
            return float(rows["wall_hours"].sum() / rows["jobs"].sum())
        check = self.folder / f"streams/{stream}/fit_check.txt"
        if rule == "train" and check.exists():
            found = re.search(r"([\d.e+-]+) hours of training", check.read_text())
            return float(found[1]) if found else None
        return None


def disk_gb(challenge: Challenge, rule: str, jobs: Sequence[Job], folder: Path) -> float:
    """What the jobs of a rule would write."""
    if rule == "train":
        return MODEL_GB * len(jobs)
    gb = 0.0
    for job in jobs:
        split = job.wildcards.get("split", "")
        if split not in challenge.dataset.annotations:
            continue
        videos = num_videos(challenge, split, folder) / getattr(challenge.shards, split)
        if rule == "dump":
            settings = challenge.streams[job.wildcards["stream"]].dump
            size = 2 if settings.dtype == "float16" else 4
            gb += videos * settings.num_clips * settings.num_crops * 2 * FEATURE_WIDTH * size / 1e9
        elif rule == "extract_flow":
            gb += videos * FLOW_FRAMES * FLOW_KB * (challenge.flow.short_side / 256) ** 2 / 1e6
    return gb


def num_videos(challenge: Challenge, split: str, folder: Path) -> int:
    """Rows of the manifest; before there is one, lines of the annotation file."""
    path = folder / f"manifest/{split}.csv"
    if not path.exists():
        path = challenge.data_path(challenge.dataset.annotations[split])  # type: ignore[index]
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return max(sum(1 for _ in file) - 1, 0)


def why(jobs: Sequence[Job]) -> list[str]:
    """`train frame16: changed settings: train.learning_rate 0.2 -> 0.3`, jobs of one reason together."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for job in jobs:
        counts[job.rule, job.wildcards.get("stream", ""), reason(job.fields.get("reason", ""))] += 1
    return [
        f"{rule}{f' {stream}' if stream else ''}{f' ({count} jobs)' if count > 1 else ''}: {because}"
        for (rule, stream, because), count in counts.items()
    ]


def reason(text: str) -> str:
    """Snakemake's reasons in few words; of changed settings, the keys."""
    found = [words for start, words in REASONS.items() if start in text]
    if "Params have changed" in text:
        found.insert(0, "changed settings" + changed_keys(text))
    if len(found) > 1 and "follows another job" in found:
        found.remove("follows another job")
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
