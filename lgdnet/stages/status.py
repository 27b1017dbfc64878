"""How far the workflow is: per stage done, running, failed, to do, and the progress of what runs.

Read from files alone, so it works in another terminal while the workflow runs, and on another machine.
"""

import os
import socket
from collections import Counter
from pathlib import Path

from lgdnet import one_start
from lgdnet.workflow_log import Job, Run, newest_log, read_log

HIDDEN = ("all",)  # targets without work


def run(log: Path | None = None) -> str:
    """A table of the newest run, or of that of `log`, and the last line of the log of each running job."""
    found = read_log(log or newest_log())
    return "\n".join([table(found), *running(found)])


def table(found: Run) -> str:
    """One line per stage of the whole DAG, in its order; what was finished before this run counts as done."""
    counts = {state: Counter(job.rule for job in found.of(state)) for state in ("done", "running", "failed")}
    lines = [f"{'stage':20s} {'done':>6s} {'running':>8s} {'failed':>7s} {'to do':>6s}"]
    for rule, whole in (found.whole or found.planned).items():
        if rule in HIDDEN:
            continue
        done, active, failed = (counts[state][rule] for state in ("done", "running", "failed"))
        planned = found.planned.get(rule, 0)
        todo = max(planned - done - active - failed, 0)
        done += max(whole - planned, 0)
        lines.append(f"{rule:20s} {done:6d} {active:8d} {failed:7d} {todo:6d}")
    return "\n".join(lines)


def running(found: Run) -> list[str]:
    """What each job that runs, or waits in the queue, said last."""
    if found.ended:
        failed = len(found.of("failed"))
        outcome = f"{failed} jobs failed for good (`lgdnet failed` says why)" if failed else "nothing failed"
        return [f"\nthis run has ended, {outcome}: {found.path}"]
    gone = ["\nits snakemake is no longer at work: start it again"] if is_gone(found.path) else []
    jobs = [job for job in found.of("running") if job.rule not in HIDDEN]
    return [*gone, "", *(f"{name(job)}: {last_word(job)}" for job in jobs)] if jobs else gone


def is_gone(log: Path) -> bool:
    """Whether the Snakemake of a log was one of this machine and is there no more."""
    for path in log.parent.parent.parent.glob(f"results/*/{one_start.NAME}"):
        worker = one_start.holder(path)
        if worker and Path(worker.log).name == log.name and worker.host == socket.gethostname():
            try:
                os.kill(worker.pid, 0)
            except ProcessLookupError:
                return True
            except PermissionError:  # somebody else's
                return False
    return False


def name(job: Job) -> str:
    slurm = f" (Slurm job {job.slurm_id})" if job.slurm_id else ""
    return " ".join([job.rule, *job.wildcards.values()]) + slurm


def last_word(job: Job) -> str:
    """Last line of the job's log; before it starts there is none, or that of an attempt of before."""
    if job.log is None or not job.log.is_file() or job.log.stat().st_mtime < job.begun:
        return "in the queue, or just starting"
    lines = [line.strip() for line in job.log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "started"
