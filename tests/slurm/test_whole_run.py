"""`snakemake --profile slurm` in a fresh clone: the sample challenge, cut down, from nothing to its submission."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.once import made_once
from tests.slurm import cut
from tests.slurm.cluster import Cluster
from tests.slurm.conftest import Project

pytestmark = pytest.mark.timeout(3000)  # two minutes and a half where nothing else runs

TABLES = [
    "leaderboard.csv",
    "streams.csv",
    "fusions.csv",
    "per_class.csv",
    "confusions.csv",
    "submission.json",
]
# In the order of the DAG: jobs, cores, memory in MB, minutes and GPUs, as the challenge file says.
ASKED = {
    "manifest": (1, 2, 2000, 30, 0),
    "extract_flow": (3, 1, 2500, 60, 0),
    "audio_shard": (3, 1, 1500, 90, 0),
    "train": (3, 2, 3000, 120, 2),
    "dump": (8, 1, 3500, 150, 1),
    "fit_aggregator": (1, 1, 4000, 180, 0),
    "fit_joint": (1, 1, 4000, 180, 0),
    "aggregate": (6, 1, 1000, 210, 0),
    "aggregate_joint": (2, 1, 1000, 210, 0),
    "fuse": (1, 1, 1000, 210, 0),
    "apply_fusion": (1, 1, 1000, 210, 0),
}


@dataclass(frozen=True)
class Sample(Project):
    """A clone in which `snakemake` alone is the cut challenge."""

    @property
    def results(self) -> Path:
        return self.folder / "results/sample"

    def command(self, *arguments: str) -> list[str]:
        return ["snakemake", *arguments]


@pytest.fixture(scope="module")
def here_and_there(cluster, common) -> tuple[Sample, Sample]:
    """The challenge as it came out of two clones: one on this machine, one through Slurm at the same time."""
    folder = made_once(common, "sample", lambda folder: run_both(*in_(folder, cluster)))
    return in_(folder, cluster)


def in_(folder: Path, cluster: Cluster) -> tuple[Sample, Sample]:
    return Sample(folder / "here", cluster), Sample(folder / "there", cluster)


def run_both(here: Sample, there: Sample) -> None:
    cut.clone(here.folder)
    shutil.copytree(here.folder, there.folder)
    with (here.folder / "output").open("w+") as output:
        local = subprocess.Popen(
            here.command("--cores", "2"), cwd=here.folder, env=here.environment, stdout=output, stderr=output
        )
        through_slurm = there.start("--jobs", "6")  # as many at one time as a small machine has memory for
        printed = through_slurm.communicate(timeout=2400)[0]
        assert through_slurm.returncode == 0, printed[-6000:]
        assert local.wait(timeout=2400) == 0, (here.folder / "output").read_text()[-6000:]


@pytest.fixture(scope="module")
def there(here_and_there) -> Sample:
    return here_and_there[1]


def files(project: Sample) -> dict[str, bytes]:
    """All that the challenge made, without what tells of times and machines."""
    undeclared = {"logs", "benchmarks", "checkpoints", "tensorboard"}
    found = {path.relative_to(project.results): path for path in project.results.rglob("*") if path.is_file()}
    return {
        str(name): path.read_bytes()
        for name, path in sorted(found.items())
        if not undeclared & set(name.parts)
        and name.name not in ("cost.csv", "report.html", "history.csv", "probes.jsonl")
        and not name.name.startswith(".")
    }


def test_the_same_bytes_as_a_local_run(here_and_there):
    local, slurm = map(files, here_and_there)
    assert set(TABLES) < set(local)
    assert [name for name in {*local, *slurm} if local.get(name) != slurm.get(name)] == []


def test_every_kind_of_job_asked_for_what_the_challenge_file_says(there):
    """Read back from Slurm's accounting."""
    found = {}
    for rule in ASKED:
        rows = [
            row for row in there.accounted(rule, "Comment,ReqTRES,TimelimitRaw,State") if is_of(rule, row[0])
        ]
        [(tres, minutes, state)] = {tuple(row[1:]) for row in rows}
        assert state == "COMPLETED"
        asked = dict(part.split("=") for part in tres.split(","))
        assert asked["node"] == "1"
        found[rule] = (len(rows), int(asked["cpu"]), in_mb(asked["mem"]), int(minutes), gpus(asked))
    assert found == ASKED


def is_of(rule: str, comment: str) -> bool:
    """`rule_dump_wildcards_...` is of dump, `rule_aggregate_joint` not of aggregate."""
    return comment.split("_wildcards_")[0] == f"rule_{rule}"


def in_mb(memory: str) -> int:
    """`3500M`, `4000M`, `4G` as Slurm prints them."""
    return round(float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]])


def gpus(asked: dict[str, str]) -> int:
    return int(asked.get("gres/gpu", 0))


def test_small_jobs_do_not_go_through_the_queue(there):
    assert len(there.accounted("")) == sum(jobs for jobs, *_ in ASKED.values())


def test_the_submission_is_what_the_challenge_takes(there):
    submission = json.loads((there.results / "submission.json").read_text())
    assert len(submission["results"]) == 10  # one that cannot be read among them
    assert all(len(answers) == 5 for answers in submission["results"].values())


def test_nothing_is_left_to_do(there):
    assert "Nothing to be done" in there.run()
