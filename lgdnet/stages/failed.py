"""Jobs that failed for good in a run of the workflow: which, why, and the last lines of their logs."""

import re
from pathlib import Path

from lgdnet.settings import KIND_OF_RULE
from lgdnet.workflow_log import Job, read_log

# What to change after what Slurm says of a job; the key stands in the challenge file under `jobs:`.
REMEDIES = {
    "OUT_OF_MEMORY": "needed more memory: raise jobs: {kind}: memory_gb",
    "TIMEOUT": "its time was up: raise jobs: {kind}: hours",
    "NODE_FAIL": "its node failed: start again",
    "BOOT_FAIL": "its node did not start: start again",
    "CANCELLED": "cancelled, by somebody or by Slurm for its memory: see `sacct -j {job}`; perhaps raise jobs: {kind}: memory_gb",
    "PREEMPTED": "pre-empted more often than jobs: {kind}: restarts allows: start again",
}
# What Slurm writes into the log of a job that it ends.
CAUSES = {
    "OUT_OF_MEMORY": r"[Ee]xceeded (job )?memory limit|oom[-_ ]kill",
    "TIMEOUT": r"DUE TO TIME LIMIT",
    "NODE_FAIL": r"DUE TO NODE FAILURE",
    "PREEMPTED": r"DUE TO PREEMPTION",
}
# A stage that was told to stop has saved itself and says so at the end of its log.
STOPPED = re.compile(r"stopped by \w+ after step \d+, saved")
TOLD_TO_STOP = (
    "Near its time limit, or by somebody: raise jobs: {kind}: hours, or {kind}: restarts, which is how often it goes on "
    "by itself"
)
NUM_LINES = 3


def run(path: Path) -> str:
    """A table of the jobs of a Snakemake log that failed and were not started again; "" without any."""
    jobs = read_log(path).of("failed")
    return "\n".join([f"{len(jobs)} failed for good:", *(described(job) for job in jobs)]) if jobs else ""


def described(job: Job) -> str:
    """`train frame16: its time was up: ... (3 attempts)`, its log and that log's last lines."""
    what = " ".join([job.rule, *job.wildcards.values()])
    lines = last_lines(job.log)
    text = f"\n{what}: {reason(job, lines)}" + (f" ({job.attempts} attempts)" if job.attempts > 1 else "")
    if job.slurm_id:
        text += f"\n  Slurm job {job.slurm_id}"
    if job.log is not None:
        text += f"\n  {job.log}" + "".join(f"\n    | {line}" for line in lines)
    return text


def reason(job: Job, lines: list[str]) -> str:
    """What Slurm says, with what to change; else the stage's own error."""
    state = state_in_slurm(job)
    if state in REMEDIES:
        return REMEDIES[state].format(kind=KIND_OF_RULE.get(job.rule, job.rule), job=job.slurm_id or "ID")
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    if job.message and job.message != "None" and not state:
        return job.message.split("For further error details")[0].strip()
    if lines and STOPPED.match(lines[-1]):
        return f"{lines[-1]}. {TOLD_TO_STOP.format(kind=KIND_OF_RULE.get(job.rule, job.rule))}"
    return lines[-1] if lines else "ended without a word; its log is empty"


def state_in_slurm(job: Job) -> str:
    """How Slurm says that a job ended; where it says no more than FAILED or CANCELLED, what its log says."""
    found = re.search(r"SLURM status is: '(\w+)", job.message)
    state = found[1] if found else ""
    path = job.slurm_log
    if path is not None and state in ("FAILED", "CANCELLED"):
        text = path.read_text(encoding="utf-8", errors="replace")
        return next((cause for cause, words in CAUSES.items() if re.search(words, text)), state)
    return state


def last_lines(path: Path | None) -> list[str]:
    """Of the stage's log; none where it wrote none."""
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.rstrip() for line in lines if line.strip()][-NUM_LINES:]
