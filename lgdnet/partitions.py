"""Whether the partitions of a cluster take the jobs of a challenge: their time, and what a node of them has."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from lgdnet.rates import stored_by
from lgdnet.settings import KIND_OF_RULE, Challenge
from lgdnet.settings.jobs import JobSettings
from lgdnet.slurm import Names, ask, gpus_of


@dataclass(frozen=True)
class Partition:
    """The most that a node of it has, of each thing."""

    name: str
    hours: float  # time limit, inf without one
    cores: int
    memory_gb: float
    nodes: int
    gpus: dict[str, int]  # by kind, "" for all
    is_default: bool = False


def partitions() -> list[Partition]:
    """As sinfo reports them, which has a line for each kind of node; none where there is no Slurm."""
    found: dict[str, Partition] = {}
    for line in (ask("sinfo", "--noheader", "--format=%P|%l|%c|%m|%D|%G") or "").splitlines():
        name, limit, cores, memory, nodes, resources = line.split("|")
        here = Partition(
            name.rstrip("*"),
            hours_of(limit),
            int(cores.rstrip("+")),
            int(memory.rstrip("+")) / 1000,
            int(nodes),
            gpus_of(resources),
            name.endswith("*"),
        )
        found[here.name] = joined([found[here.name], here]) if here.name in found else here
    return list(found.values())


def joined(parts: Sequence[Partition]) -> Partition:
    """Several as one: a job is taken that one of them takes."""
    gpus: dict[str, int] = {}
    for part in parts:
        gpus |= {kind: max(count, gpus.get(kind, 0)) for kind, count in part.gpus.items()}
    return Partition(
        ",".join(dict.fromkeys(part.name for part in parts)),
        max(part.hours for part in parts),
        max(part.cores for part in parts),
        max(part.memory_gb for part in parts),
        sum(part.nodes for part in parts),
        gpus,
        any(part.is_default for part in parts),
    )


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
    challenge: Challenge, names: Names, *, file: str, profile: str, kinds: Collection[str] | None = None
) -> list[str]:
    """Jobs that no node would take, each with the line to change. Unknown partitions are told elsewhere.

    `kinds`: only jobs of these.
    """
    known = {one.name: one for one in partitions()}
    default = next((one.name for one in known.values() if one.is_default), "")
    found = []
    for kind, cores in jobs_in_use(challenge):
        job = getattr(challenge.jobs, kind)
        wanted = (names.gpu_partition if job.gpus else "") or names.partition or default
        there = [known[name] for name in wanted.split(",") if name in known]
        if not there or (kinds is not None and kind not in kinds):
            continue
        key = f"threads: {kind}: " if hasattr(challenge.threads, kind) else f"jobs: {kind}: "
        for line, too_much, way_out in excesses(job, cores, joined(there)):
            line = key if line == "cores" else f"jobs: {kind}: {line}: "
            found.append(f"{file}: {line}{too_much}. {way_out}, or name another partition in {profile}.")
    return found


def excesses(job: JobSettings, cores: int, where: Partition) -> Iterator[tuple[str, str, str]]:
    """(key, what is too much, the way out)"""
    of = f"partition {where.name!r}"
    if job.hours > where.hours:
        yield (
            "hours",
            f"{job.hours:g}, but {of} allows {where.hours:.3g}",
            "Lower it (long jobs go on where they stopped)",
        )
    if cores > where.cores:
        yield "cores", f"{cores} cores, but no node of {of} has more than {where.cores}", "Lower it"
    if job.memory_gb > where.memory_gb:
        yield (
            "memory_gb",
            f"{job.memory_gb:g}, but no node of {of} has more than {where.memory_gb:.0f}",
            "Lower it",
        )
    most = where.gpus.get(job.gpu_model or "", 0)
    if job.gpus > most:
        kind = f"{job.gpu_model} GPUs" if job.gpu_model else "GPUs"
        way_out = "Lower it, set gpu_model to one that `sinfo -o %G` shows"
        yield "gpus", f"{job.gpus}, but no node of {of} has more than {most} {kind}", way_out
    if job.nodes > where.nodes:
        yield "nodes", f"{job.nodes}, but {of} has {where.nodes}", "Lower it"
