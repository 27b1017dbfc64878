"""One Slurm for all tests here, also for those of other workers, and the tiny challenge in fresh copies of the project.

Tests wait most of the time, so several run beside each other on the one cluster (`pytest -n 4`).
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.once import common_folder, made_once
from tests.slurm import tiny
from tests.slurm.cluster import Cluster
from tests.slurm.packages import install
from tests.slurm.processes import alive

FAST = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5", "--nocolor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/slurm" in str(item.path) and "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slurm)


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="session")
def common(tmp_path_factory) -> Path:
    """A folder that the workers of this session share."""
    return common_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def cluster(common) -> Iterator[Cluster]:
    """The worker that starts it ends it, when no other one uses it any more."""
    own = Path(tempfile.mkdtemp(prefix="lgdnet-slurm-"))  # short: the names of sockets must be
    users = common / "users"
    users.mkdir(exist_ok=True)
    (users / str(os.getpid())).touch()
    try:
        link = made_once(common, "cluster", lambda link: start_cluster(own, link))
        yield Cluster(link.resolve())
    finally:
        for process in STARTED:  # of tests that failed before they waited for it
            if process.poll() is None:
                kill(process)
        (users / str(os.getpid())).unlink()
        if (own / "slurm.conf").exists():
            while any(alive(int(user.name)) for user in users.iterdir()):
                time.sleep(0.5)
            Cluster(own).down()
        shutil.rmtree(own)


def start_cluster(folder: Path, link: Path) -> None:
    install()
    Cluster(folder).up()
    link.symlink_to(folder)


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
        output = self.printed_by(process)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def printed_by(self, process: subprocess.Popen[str]) -> str:
        try:
            return process.communicate(timeout=1200)[0]
        except subprocess.TimeoutExpired:
            raise AssertionError(f"snakemake does not end\n{self.told()}") from None

    def run_locally(self, *targets: str) -> None:
        done = subprocess.run(
            self.command("--cores", "2", *targets),
            cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:]

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
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def jobs(self, state: str = "RUNNING,PENDING") -> dict[str, str]:
        """Rule of each job in the queue, by id."""
        rows = [
            line.split("|") for line in self.slurm("squeue", "-h", "-t", state, "-o", "%A|%Z|%k").splitlines()
        ]
        return {job: rule for job, where, rule in rows if where == str(self.folder)}

    def arrays(self) -> set[str]:
        """The job arrays of this folder in the queue."""
        rows = [line.split() for line in self.slurm("squeue", "-h", "-o", "%F %Z").splitlines()]
        return {job for job, where in rows if where == str(self.folder)}

    def reason(self, rule: str) -> str:
        """Why a job of that rule waits; "" where none does."""
        rows = [
            line.split("|")
            for line in self.slurm("squeue", "-h", "-t", "PENDING", "-o", "%Z|%k|%r").splitlines()
        ]
        return next((row[2] for row in rows if row[0] == str(self.folder) and f"rule_{rule}" in row[1]), "")

    def wait(self, ready: Callable[[], object], seconds: float = 600, what: str = "it") -> object:
        begin = time.monotonic()
        while not (found := ready()):
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"waited {seconds:.0f} s for {what}\n{self.told()}")
            time.sleep(0.2)
        return found

    def told(self) -> str:
        """What Slurm, Snakemake and the stages said last: for a test that fails."""
        logs = [
            *self.folder.glob(".snakemake/log/*.log"),
            *self.folder.glob(".snakemake/slurm_logs/*/*/*.log"),
        ]
        logs += [*self.results.glob("logs/*/*.log"), *self.cluster.folder.glob("log/slurm*.log")]
        newest = sorted(logs, key=lambda path: path.stat().st_mtime)
        texts = [f"== {path}\n" + path.read_text(errors="replace")[-2500:] for path in newest]
        return "\n".join([self.slurm("squeue", "-o", "%i %T %r %N %k"), *texts])

    def trained(self, stream: str = "one", *, saved: bool = False) -> str:
        """Wait until the training has made steps, or has saved some; its job."""
        folder = self.results / "streams" / stream
        history, begin = folder / "history.csv", len(list(folder.glob("checkpoints/*.safetensors")))

        def in_it() -> bool:
            if saved:
                return len(list(folder.glob("checkpoints/*.safetensors"))) > begin
            return (
                history.is_file() and len(history.read_text().splitlines()) > 2 and bool(self.jobs("RUNNING"))
            )

        self.wait(in_it, what="the training to begin")
        return next(job for job, rule in self.jobs().items() if rule == f"rule_train_wildcards_{stream}")

    def log(self, name: str = "train/one") -> str:
        """What the last attempt of a job wrote."""
        return (self.results / f"logs/{name}.log").read_text()

    @property
    def model(self) -> Path:
        return self.results / "streams/one/model.safetensors"

    def statuses(self, command: str) -> Iterator[str]:
        """What the kernel says of each process of this folder that runs that command."""
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (path / "cwd").resolve() == self.folder and command in (path / "cmdline").read_text():
                    yield (path / "status").read_text()

    def stop(self, job: str, command: str = "lgdnet.launch") -> None:
        """Make the processes of a job stand still; Slurm sends signals when it comes to it."""
        self.slurm("scancel", "--signal=STOP", job)
        self.wait(
            lambda: any(re.search(r"^State:\s*T", status, re.MULTILINE) for status in self.statuses(command)),
            what="the training to stand still",
        )

    def has_a_signal_to_come(self, command: str = "lgdnet.launch") -> bool:
        """Whether a process of this folder that stands still was sent SIGTERM."""
        for status in self.statuses(command):
            [pending] = re.findall(r"^ShdPnd:\s*(\w+)", status, re.MULTILINE)
            if int(pending, 16) >> (signal.SIGTERM - 1) & 1:
                return True
        return False

    def end_of(self, process: subprocess.Popen[str], code: int = 0) -> str:
        """What a run printed that has to end with that code."""
        output = self.printed_by(process)
        assert process.returncode == code, output[-8000:] + self.told()
        return output

    def states(self, rule: str) -> list[str]:
        """How the jobs of a rule ended, in the order of their start."""
        return [state.split()[0] for [state] in self.accounted(rule)]

    def clear(self) -> None:
        """End what a test has left behind: its Snakemake, then the jobs in the queue."""
        for process in STARTED:
            if process.poll() is None:
                kill(process)
        for job in self.jobs():
            self.slurm("scancel", job)

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
def local(cluster, common) -> Project:
    """The tiny challenge, run without Slurm."""
    return Project(made_once(common, "local", lambda folder: run_locally(Project(folder, cluster))), cluster)


def run_locally(project: Project) -> None:
    tiny.clone(project.folder)
    tiny.render(project.folder / "sample")
    tiny.configure(project.folder, tiny.CHALLENGE)
    project.run_locally()


@pytest.fixture(scope="session")
def finished(local, common) -> Project:
    """The same in a fresh clone, through Slurm."""
    folder = made_once(common, "finished", lambda folder: run_through_slurm(local, folder))
    return Project(folder, local.cluster)


def run_through_slurm(local: Project, folder: Path) -> None:
    project = Project(tiny.clone(folder), local.cluster)
    shutil.copytree(local.folder / "sample", project.folder / "sample")
    tiny.configure(project.folder, tiny.CHALLENGE)
    project.run()


@pytest.fixture(scope="session")
def left_alone(local, common) -> Project:
    from tests.slurm.undisturbed import leave_alone

    return Project(made_once(common, "left-alone", lambda folder: leave_alone(local, folder)), local.cluster)


def to_be_trained(finished: Project, folder: Path, **settings: object) -> Iterator[Project]:
    """A finished challenge whose stream has to be trained anew, since its settings changed."""
    project = finished.copy(folder)
    tiny.configure(project.folder, tiny.challenge(**settings))
    shutil.rmtree(project.results / "streams/one/checkpoints")
    (project.results / "streams/one/history.csv").unlink()
    (project.results / "logs/train/one.log").unlink()
    try:
        yield project
    finally:
        project.clear()
