"""One Slurm for all tests here, and the tiny challenge in fresh copies of the project."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm import tiny
from tests.slurm.cluster import Cluster, install

FAST = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5", "--nocolor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/slurm" in str(item.path) and "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slurm)


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    install()
    folder = Path(tempfile.mkdtemp(prefix="lgdnet-slurm-"))  # short: the names of sockets must be
    slurm = Cluster(folder)
    slurm.up()
    try:
        yield slurm
    finally:
        for process in STARTED:  # of tests that failed before they waited for it
            if process.poll() is None:
                kill(process)
        slurm.down()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Project:
    """A copy of the project with the tiny challenge, seen by a user of the cluster."""

    folder: Path
    cluster: Cluster

    @property
    def results(self) -> Path:
        return self.folder / "results/tiny"

    @property
    def environment(self) -> dict[str, str]:
        return {**self.cluster.environment, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}

    def command(self, *arguments: str) -> list[str]:
        return ["snakemake", "--configfile", "tiny.yaml", *arguments]

    def run(self, *arguments: str) -> str:
        """A whole run through Slurm that must succeed: what it printed."""
        done = self.try_run(*arguments)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        output = process.communicate(timeout=400)[0]
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A run through Slurm, in a process group of its own so that it can be killed whole."""
        process = subprocess.Popen(
            self.command("--profile", "slurm", *FAST, *arguments),
            cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        STARTED.append(process)
        return process

    def slurm(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, cwd=self.folder
        ).stdout

    def jobs(self, state: str = "RUNNING,PENDING") -> dict[str, str]:
        """Rule of each job in the queue, by id."""
        lines = self.slurm("squeue", "-h", "-t", state, "-o", "%A %Z %k").splitlines()
        return {job: rule for job, where, rule in map(str.split, lines) if where == str(self.folder)}

    def wait(self, ready: Callable[[], object], seconds: float = 90) -> object:
        begin = time.monotonic()
        while not (found := ready()):
            assert time.monotonic() - begin < seconds, f"waited {seconds:.0f} s"
            time.sleep(0.1)
        return found

    def training(self, steps: int = 1) -> str:
        """Wait until the training has saved that step; its job."""
        folder = self.results / "streams/one/checkpoints"
        self.wait(
            lambda: any(int(path.stem.split("-")[-1]) >= steps for path in folder.glob("*.safetensors"))
        )
        return next(job for job, rule in self.jobs().items() if "train" in rule)

    def accounted(self, rule: str, columns: str = "State") -> list[list[str]]:
        """Columns of Slurm's accounting for every job of a rule in this folder, in the order of their start."""
        lines = self.slurm(
            "sacct", "-X", "-n", "-P", "--duplicates", f"--format=WorkDir,Comment,{columns}"
        ).splitlines()
        rows = [line.split("|") for line in lines]
        return [row[2:] for row in rows if row[0] == str(self.folder) and row[1].startswith(f"rule_{rule}")]

    def copy(self, folder: Path) -> "Project":
        """Everything, times of change included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, self.cluster)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL of Snakemake and whatever it started itself."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def local(cluster, tmp_path_factory) -> Project:
    """The tiny challenge, run without Slurm."""
    project = Project(tiny.clone(tmp_path_factory.mktemp("local") / "clone"), cluster)
    tiny.render(project.folder / "sample")
    tiny.configure(project.folder, tiny.CHALLENGE)
    done = subprocess.run(
        project.command("--cores", "2"),
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture(scope="session")
def finished(cluster, local, tmp_path_factory) -> Project:
    """The same in a fresh clone, through Slurm."""
    project = Project(tiny.clone(tmp_path_factory.mktemp("slurm") / "clone"), cluster)
    shutil.copytree(local.folder / "sample", project.folder / "sample")
    tiny.configure(project.folder, tiny.CHALLENGE)
    project.run()
    return project
