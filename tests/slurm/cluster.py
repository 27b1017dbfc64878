"""A real Slurm on one machine: controller, database, and eleven virtual nodes with two fake GPUs each.

Four are the cluster that tests share; the others are in partitions of their own, where nodes are lost (`spare`, `weak`),
jobs pre-empted (`low`, by `urgent`) and GPUs taken (`shapes`) without harm to those that run beside.

    python -m tests.slurm.cluster install          Debian's packages, without starting their services (as root)
    python -m tests.slurm.cluster up FOLDER        every daemon, all its files under FOLDER; prints SLURM_CONF
    python -m tests.slurm.cluster down FOLDER      end exactly these daemons

Own ports, sockets, keys, logs and process ids: another Slurm, munge or MariaDB on the machine is not touched.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.configuration import ACCOUNT, ALL, NODES, configure, user
from tests.slurm.packages import ClusterError, install, missing, which
from tests.slurm.processes import alive, jobs_of, parent, words


@dataclass(frozen=True)
class Cluster:
    """The daemons under one folder."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to talk to this Slurm and to no other."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"], "/usr/sbin"])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}
        return {**kept, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def up(self, *, kill_wait: int = 15, node_timeout: int = 15) -> None:
        """Start everything and wait until both nodes are idle. Errors: ClusterError with the log's last lines."""
        if missing():
            raise ClusterError(
                f"not installed: {', '.join(missing())}. Run as root: python -m tests.slurm.cluster install"
            )
        for name in ("munge", "log", "state", "sql", *(f"spool-{node}" for node in ALL)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        configure(self.folder, kill_wait=kill_wait, node_timeout=node_timeout)
        try:
            self.start_munge()
            self.start_database()
            self.start("slurmdbd")
            self.wait("slurmdbd", lambda: self.ok("sacctmgr", "-n", "list", "cluster"))
            self.ok("sacctmgr", "-i", "add", "cluster", "virtual")
            self.ok("sacctmgr", "-i", "add", "account", ACCOUNT, "Description=tests", "Organization=tests")
            self.ok("sacctmgr", "-i", "add", "user", user(), f"Account={ACCOUNT}", "AdminLevel=Admin")
            self.start("slurmctld")
            self.wait("slurmctld", lambda: self.ok("scontrol", "ping"))
            for node in ALL:
                self.start("slurmd", "-N", node)
            self.wait(f"slurmd-{NODES[0]}", lambda: self.idle() == len(ALL))
        except BaseException:
            self.down()
            raise

    def start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        paths = {"socket": "socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "seed"}
        options = [f"--{name}={folder / file}" for name, file in paths.items()]
        # --force: the folder may lie under one that others may write, such as /tmp.
        self.command("munged", "--force", f"--key-file={key}", "--num-threads=2", *options)
        self.wait("munged", (folder / "socket").exists)

    def start_database(self) -> None:
        data, port = self.folder / "sql" / "data", (self.folder / "sql_port").read_text()
        as_user = [f"--user={user()}"]
        if not data.exists():
            self.command(
                "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                "--auth-root-authentication-method=normal", *as_user,
            )  # fmt: skip
        socket_file = self.folder / "sql" / "socket"
        log = (self.folder / "log" / "mariadbd.log").open("ab")
        process = subprocess.Popen(
            [
                which("mariadbd") or "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket_file}",
                f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={self.folder}/sql/mariadbd.pid",
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2",
                "--innodb-lock-wait-timeout=900", "--skip-name-resolve", *as_user,
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        (self.folder / "mariadbd.pid").write_text(str(process.pid))
        client = [which("mariadb") or "mariadb", "--no-defaults", f"--socket={socket_file}", "-uroot"]
        self.wait(
            "mariadbd",
            lambda: subprocess.run([*client, "-e", "select 1"], capture_output=True).returncode == 0,
        )
        grants = [
            f"grant all on slurm.* to 'slurm'@'{host}' identified by 'slurm'"
            for host in ("127.0.0.1", "localhost")
        ]
        subprocess.run(
            [*client, "-e", "; ".join(["create database if not exists slurm", *grants])], check=True
        )

    def start(self, daemon: str, *arguments: str) -> None:
        """One of Slurm's daemons; it goes to the background and writes its pid file."""
        self.command(daemon, *arguments)

    def command(self, name: str, *arguments: str) -> str:
        done = subprocess.run(
            [which(name) or name, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise ClusterError(f"{name} {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def ok(self, *command: str) -> bool:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.returncode == 0 and "DOWN" not in done.stdout

    def idle(self) -> int:
        """Nodes that can take jobs."""
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-p", "cpu,spare,weak,low,shapes", "-o", "%T"],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return done.stdout.split().count("idle")

    def wait(self, daemon: str, ready: Callable[[], object], seconds: float = 60) -> None:
        """Until it answers. Errors: ClusterError with the last lines of its log."""
        begin = time.monotonic()
        while not ready():
            if time.monotonic() - begin > seconds:
                log = self.folder / "log" / f"{daemon}.log"
                lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else ["no log"]
                raise ClusterError(f"{daemon} is not ready after {seconds:.0f} s:\n" + "\n".join(lines))
            time.sleep(0.2)

    def pids(self) -> dict[str, int]:
        """Process ids of the daemons, in the order in which they are ended."""
        files = [f"slurmd-{node}.pid" for node in ALL]
        files += ["slurmctld.pid", "slurmdbd.pid", "mariadbd.pid", "munge/munged.pid"]
        found = {}
        for file in files:
            with contextlib.suppress(OSError, ValueError):
                found[file] = int((self.folder / file).read_text())
        return found

    def stop(self, file: str, number: int = signal.SIGTERM, seconds: float = 20) -> None:
        """End one daemon, named by its pid file, and wait until it is gone."""
        pid = self.pids().get(file)
        if pid is None:
            return
        for attempt in (number, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, attempt)
            end = time.monotonic() + seconds
            while alive(pid) and time.monotonic() < end:
                time.sleep(0.1)
            if not alive(pid):
                break
        (self.folder / file).unlink(missing_ok=True)

    def down(self) -> None:
        """Cancel all jobs, end the daemons, and what jobs have left. Files stay for whoever wants to read the logs."""
        if (self.folder / "slurmctld.pid").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    ["scancel", "--user", user()], env=self.environment, capture_output=True, timeout=20
                )
                begin = time.monotonic()
                while self.queue() and time.monotonic() - begin < 20:
                    time.sleep(0.2)
        for file in self.pids():
            self.stop(file)
        for pid in jobs_of(self.folder / "slurm.conf"):  # of a node that was set down
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lose(self, node: str) -> None:
        """SIGKILL of a node's daemon and of everything that runs there, as if its power were cut."""
        jobs = subprocess.run(
            ["squeue", "-h", "-w", node, "-o", "%A"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
        titles = {pid: words(pid) for pid in processes}
        stepds = [
            pid
            for pid, title in titles.items()
            if any(title.startswith(f"slurmstepd: [{job}.") for job in jobs)
        ]
        doomed = [self.pids()[f"slurmd-{node}.pid"], *stepds]
        for pid in doomed:  # grows: children, and theirs
            doomed += [child for child in processes if parent(child) == pid and child not in doomed]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        (self.folder / f"slurmd-{node}.pid").unlink()

    def queue(self) -> list[str]:
        """Ids of the jobs that wait or run."""
        done = subprocess.run(
            ["squeue", "-h", "-o", "%i"], env=self.environment, capture_output=True, text=True, timeout=20
        )
        return done.stdout.split()


def main(arguments: list[str]) -> None:
    if arguments == ["install"]:
        install()
        return
    if len(arguments) != 2 or arguments[0] not in ("up", "down"):
        sys.exit(__doc__)
    cluster = Cluster(Path(arguments[1]).resolve())
    if arguments[0] == "up":
        cluster.up()
        print(f"export SLURM_CONF={cluster.folder / 'slurm.conf'}")
    else:
        cluster.down()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ClusterError as error:
        sys.exit(f"error: {error}")
