"""Talking to Slurm: which jobs are in the queue, and ending them so that a training saves itself first."""

import difflib
import getpass
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lgdnet.errors import InputError
from lgdnet.log import say


def ask(*command: str, seconds: float = 60) -> str | None:
    """Standard output of one of Slurm's commands; None where it is missing, fails, or does not answer in time."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}."


@dataclass(frozen=True)
class Names:
    """What the profile names, as Slurm takes it: a partition may be a list, `cpu,short`."""

    account: str = ""
    partition: str = ""
    gpu_partition: str = ""


def faults(names: Names, profile: str = "slurm/config.yaml") -> list[str]:
    """Names that this cluster does not have, each with the line to change; nothing is said where it keeps silent."""
    found = []
    listed = ask("sinfo", "--noheader", "--format=%R")
    if listed is None:
        missing = "is not installed here" if shutil.which("sinfo") is None else "does not answer"
        return [
            f"sinfo {missing}: type snakemake on a machine of the cluster that may submit jobs (login node)."
        ]
    partitions = sorted(set(listed.split()))
    for key, value in (("slurm_partition", names.partition), ("gpu_partition", names.gpu_partition)):
        found += [
            f"{profile}: default-resources: {key}: this cluster has no partition {name!r}{nearest(name, partitions)}"
            for name in value.split(",")
            if name and name not in partitions
        ]
    accounts = own_accounts()
    if names.account and accounts and names.account.lower() not in accounts:
        found.append(
            f"{profile}: default-resources: slurm_account: you may not use {names.account!r}"
            f"{nearest(names.account, accounts)}"
        )
    return found


def own_accounts() -> list[str]:
    """Accounts that this user may charge, in small letters; none where there is no accounting."""
    listed = ask("sacctmgr", "-n", "-P", "show", "assoc", f"user={getpass.getuser()}", "format=account") or ""
    return sorted({line.strip().lower() for line in listed.splitlines() if line.strip()})


def gpus_of(resources: str) -> dict[str, int]:
    """GPUs of a node by kind as sinfo prints them, "" for all: `gpu:a100:8(S:0-1),gpu:v100:2` has 10, 8 and 2."""
    counts = {"": 0}
    for kind, count in re.findall(r"gpu:(?:([\w.-]+):)?(\d+)", resources):
        counts[""] += int(count)
        if kind:
            counts[kind] = counts.get(kind, 0) + int(count)
    return counts


def in_queue(jobs: Iterable[str]) -> list[str]:
    """Those of `jobs` (`12`, or `12_3` of an array) that wait, run or are just ending.

    Errors: InputError where the queue does not answer.
    """
    wanted = set(jobs)
    found = ask("squeue", "--me", "--noheader", "--array", "--format=%i") if wanted else ""
    if found is None:
        raise InputError("squeue does not answer; is this a machine that may submit jobs?")
    return sorted(
        wanted & set(found.split()), key=lambda job: [int(part) for part in re.findall(r"\d+", job)]
    )


def given_from(folder: str) -> dict[str, str]:
    """Rule of each job in the queue that a Snakemake in this folder gave to it, by number."""
    listed = ask("squeue", "--me", "--noheader", "--array", "--format=%i|%Z|%k") or ""
    rows = [line.split("|") for line in listed.splitlines() if line.count("|") == 2]
    rules = {
        job: re.match(r"rule_(\w+?)(?:_wildcards_.*)?$", comment)
        for job, where, comment in rows
        if where == folder
    }
    return {job: rule[1] for job, rule in rules.items() if rule}


def end_left_over(jobs: Iterable[str], *, patience_sec: float = 300) -> None:
    """End jobs of an earlier Snakemake that was killed, and wait until they are gone.

    A training is told first, saves itself and goes on at that step when it is started again. Errors: InputError
    when one does not end.
    """
    jobs = list(jobs)
    left = in_queue(jobs) if jobs and shutil.which("squeue") else []
    if not left:
        return
    say(f"jobs of an earlier start are still in the queue; ending them: {' '.join(left)}")
    ask("scancel", *left)  # SIGTERM to every step, and SIGKILL after the cluster's KillWait
    begin = time.monotonic()
    while left := in_queue(left):
        if time.monotonic() - begin > patience_sec:
            raise InputError(
                f"still in the queue after {patience_sec:.0f} s: {' '.join(left)}. End them with scancel."
            )
        time.sleep(1)
