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
class Wanted:
    """What the profile names and the largest job asks for, on one node."""

    account: str = ""
    partition: str = ""
    gpu_partition: str = ""
    gpus: int = 0
    nodes: int = 1
    gpu_model: str = ""


def faults(
    wanted: Wanted, profile: str = "slurm/config.yaml", challenge: str = "the challenge file"
) -> list[str]:
    """Why this cluster would not take the jobs, each with the line to change; nothing is said where it keeps silent."""
    found = []
    listed = ask("sinfo", "--noheader", "--format=%R|%G|%D")
    if listed is None:
        return [
            "sinfo does not answer: type snakemake on a machine of the cluster that may submit jobs (login node)."
        ]
    rows = [line.split("|") for line in listed.splitlines() if line.count("|") == 2]
    partitions = sorted({row[0] for row in rows})
    for key, name in (("slurm_partition", wanted.partition), ("gpu_partition", wanted.gpu_partition)):
        if name and name not in partitions:
            found.append(
                f"{profile}: default-resources: {key}: this cluster has no partition {name!r}{nearest(name, partitions)}"
            )
    accounts = own_accounts()
    if wanted.account and accounts and wanted.account.lower() not in accounts:
        found.append(
            f"{profile}: default-resources: slurm_account: you may not use {wanted.account!r}"
            f"{nearest(wanted.account, accounts)}"
        )
    where = wanted.gpu_partition or wanted.partition
    of_partition = [row for row in rows if row[0] == where] or rows
    most = max((gpus_in(row[1], wanted.gpu_model) for row in of_partition), default=0)
    if wanted.gpus > most:
        kind = f"{wanted.gpu_model} GPUs" if wanted.gpu_model else "GPUs"
        found.append(
            f"{challenge}: jobs: train or dump: gpus: {wanted.gpus} asked for on one node, but no node"
            f"{f' of {where!r}' if where else ''} has more than {most} {kind}. Lower gpus, set gpu_model to one that "
            f"`sinfo -o %G` shows, or name another gpu_partition in {profile}."
        )
    return found


def own_accounts() -> list[str]:
    """Accounts that this user may charge, in small letters; none where there is no accounting."""
    listed = ask("sacctmgr", "-n", "-P", "show", "assoc", f"user={getpass.getuser()}", "format=account") or ""
    return sorted({line.strip().lower() for line in listed.splitlines() if line.strip()})


def gpus_in(resources: str, model: str) -> int:
    """GPUs of a node as sinfo prints them: `gpu:a100:8(S:0-1),gpu:v100:2` has 8 a100."""
    counts = re.findall(r"gpu:(?:([\w.-]+):)?(\d+)", resources)
    return sum(int(count) for kind, count in counts if not model or kind == model)


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
