"""Whether the partitions of a cluster take the jobs of a challenge: their time, and the cores and memory of a node."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from lgdnet.rates import stored_by
from lgdnet.settings import KIND_OF_RULE, Challenge
from lgdnet.slurm import ask


@dataclass(frozen=True)
class Partition:
    """What its largest node has."""

    name: str
    hours: float  # time limit, inf without one
    cores: int
    memory_gb: float
    is_default: bool = False


def partitions() -> list[Partition]:
    """As sinfo reports them; none where there is no Slurm."""
    found: dict[str, Partition] = {}
    for line in (ask("sinfo", "--noheader", "--format=%P|%l|%c|%m") or "").splitlines():
        name, limit, cores, memory = line.split("|")
        here = Partition(
            name.rstrip("*"),
            hours_of(limit),
            int(cores.rstrip("+")),
            int(memory.rstrip("+")) / 1000,
            name.endswith("*"),
        )
        before = found.get(here.name, here)
        cores_there, memory_there = max(before.cores, here.cores), max(before.memory_gb, here.memory_gb)
        found[here.name] = Partition(here.name, here.hours, cores_there, memory_there, here.is_default)
    return list(found.values())


def hours_of(limit: str) -> float:
    """`1-12:00:00`, `8:00:00`, `30:00` (minutes), `infinite`."""
    days, _, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts):
        return inf
    hours, minutes, seconds = [0, *map(int, parts)][-3:] if len(parts) > 1 else (0, int(parts[0]), 0)
    return 24 * int(days or 0) + hours + minutes / 60 + seconds / 3600


def jobs_in_use(challenge: Challenge) -> Iterator[tuple[str, int]]:
    """Kind and cores of the jobs that this challenge has."""
    yield from (("probe", 2), ("train", challenge.threads.train), ("dump", 1), ("scores", 1))
    cores = {"media": 2, "cache": 1, "flow": challenge.threads.flow, "audio": 1}
    for rule in stored_by(challenge):
        kind = KIND_OF_RULE[rule]
        yield kind, cores[kind]
    learned = {"tcp", "attention_pool", "linear"}
    if challenge.joint or any(learned & {*stream.aggregate} for stream in challenge.streams.values()):
        yield "aggregation", challenge.threads.aggregation


def misfits(
    challenge: Challenge, *, partition: str = "", gpu_partition: str = "", file: str, profile: str
) -> list[str]:
    """Jobs that would wait for ever, each with the line to change. Unknown partitions are told elsewhere."""
    known = {one.name: one for one in partitions()}
    default = next((one.name for one in known.values() if one.is_default), "")
    found = []
    for kind, cores in jobs_in_use(challenge):
        job = getattr(challenge.jobs, kind)
        where = known.get((gpu_partition if job.gpus else "") or partition or default)
        if where is None:
            continue
        of = f"partition {where.name!r}"
        if job.hours > where.hours:
            found.append(
                f"{file}: jobs: {kind}: hours: {job.hours:g}, but {of} allows {where.hours:.3g}. Lower it (long jobs "
                f"go on where they stopped), or name another partition in {profile}."
            )
        if cores > where.cores:
            key = f"threads: {kind}: " if hasattr(challenge.threads, kind) else f"jobs: {kind}: "
            found.append(
                f"{file}: {key}{cores} cores, but no node of {of} has more than {where.cores}. Lower it, or name "
                f"another partition in {profile}."
            )
        if job.memory_gb > where.memory_gb:
            found.append(
                f"{file}: jobs: {kind}: memory_gb: {job.memory_gb:g}, but no node of {of} has more than "
                f"{where.memory_gb:.0f}. Lower it, or name another partition in {profile}."
            )
    return found
