"""Each change runs just the jobs it should, counted in Slurm's accounting; `plan` says so before, `status` meanwhile."""

import copy
import csv
import subprocess
from collections import Counter

import pytest

from tests.slurm import tiny
from tests.slurm.conftest import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a minute where nothing else runs
RULES = ("manifest", "train", "dump", "aggregate")


@pytest.fixture
def project(finished, tmp_path) -> Project:
    return finished.copy(tmp_path / "clone")


def submitted(project: Project) -> Counter:
    """Jobs of each rule so far that went through the queue of this folder, all of which must be known here."""
    counts = Counter({rule: len(project.accounted(rule)) for rule in RULES})
    assert counts.total() == len(project.accounted(""))
    return +counts


def lgdnet(project: Project, *arguments: str) -> str:
    command = ["python", "-m", "lgdnet", *arguments]
    return subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=True
    ).stdout


def counts(status: str) -> dict[str, list[int]]:
    """Done, running, failed and to do of each stage."""
    lines = [line.split() for line in status.partition("\n\n")[0].splitlines()[1:]]
    return {stage: [int(number) for number in numbers] for stage, *numbers in lines}


def rows(project: Project) -> list[str]:
    return [row["row"] for row in csv.DictReader((project.results / "leaderboard.csv").open())]


def with_two_streams(rate: float) -> dict:
    """The tiny challenge with a second stream; `rate` is that of the first."""
    settings = tiny.challenge(train={"learning_rate": rate}) if rate else tiny.challenge()
    settings["streams"]["two"] = copy.deepcopy(tiny.challenge(width=6)["streams"]["one"])
    return settings


@pytest.mark.quick
def test_one_stage_of_one_stream_runs_again(project, finished):
    (project.results / "streams/one/features/validation/0000.h5").unlink()
    assert "dump one: deleted" in lgdnet(project, "plan", "tiny.yaml")
    project.run()
    assert submitted(project) == {"dump": 1, "aggregate": 1}
    table = "leaderboard.csv"
    assert (project.results / table).read_bytes() == (finished.results / table).read_bytes()


def test_a_stream_is_added_and_then_the_learning_rate_of_the_other_changed(project):
    """The stream of the last row is submitted, so its test split is scored too."""
    tiny.configure(project.folder, with_two_streams(0))
    assert "train two: new" in lgdnet(project, "plan", "tiny.yaml")
    project.run()
    added = submitted(project)
    assert added == {"train": 1, "dump": 2, "aggregate": 2}
    assert rows(project) == ["streams/one/average_pool", "streams/two/average_pool"]

    kept = (project.results / "streams/two/model.safetensors").stat().st_mtime_ns
    tiny.configure(project.folder, with_two_streams(0.01))
    plan = lgdnet(project, "plan", "tiny.yaml")
    assert "train one: changed settings: train.learning_rate default -> 0.01" in plan
    assert "train two" not in plan
    first = project.start()
    project.wait(lambda: any("train" in rule for rule in project.jobs("RUNNING").values()), 300)
    second = project.try_run()
    assert second.returncode != 0  # one run at a time, and the refused one does not show up in the status
    status = counts(lgdnet(project, "status"))
    assert status["manifest"] == [1, 0, 0, 0]
    done, running, failed, to_do = status["train"]
    assert (done + running, failed, to_do) == (2, 0, 0)  # of the refused one it would still be to do
    assert sum(status["dump"]) == 4
    output = first.communicate(timeout=900)[0]
    assert first.returncode == 0, output[-5000:]
    assert submitted(project) - added == {"train": 1, "dump": 2, "aggregate": 1}
    assert (project.results / "streams/two/model.safetensors").stat().st_mtime_ns == kept
    assert "nothing failed" in lgdnet(project, "status")
    assert "nothing to be done" in lgdnet(project, "plan", "tiny.yaml")
