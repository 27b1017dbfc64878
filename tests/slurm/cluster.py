"""A real Slurm on one machine: controller, database, and eleven virtual nodes with two fake GPUs each.

Four are the cluster that tests share; the others are in partitions of their own, where nodes are lost (`spare`, `weak`),
jobs pre-empted (`low`, by `urgent`) and GPUs taken (`shapes`) without harm to those that run beside.

    python tests/slurm/cluster.py install          Debian's packages, without starting their services (as root)
    python tests/slurm/cluster.py up FOLDER        every daemon, all its files under FOLDER; prints SLURM_CONF
    python tests/slurm/cluster.py down FOLDER      end exactly these daemons

Own ports, sockets, keys, logs and process ids: another Slurm, munge or MariaDB on the machine is not touched.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "munge",
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmdbd",
    "mariadb-server-core",
    "mariadb-client-core",
)
DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")
NODES, SPARE = ("n1", "n2", "n3", "n4"), tuple(f"n{number}" for number in range(5, 12))
ALL = NODES + SPARE
GPUS_PER_NODE, CPUS_PER_NODE, MEMORY_MB = 2, 16, 64_000
ACCOUNT = "vision"

# cred_expire: how long a job that is requeued is held back; two minutes by default.
SLURM_CONF = """
ClusterName=virtual
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=20
CredType=cred/munge
SlurmctldPort={ctld_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
KillWait={kill_wait}
MinJobAge=300
SlurmctldTimeout=300
SlurmdTimeout={node_timeout}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_min_interval=200000,bf_interval=2,requeue_delay=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n[1-4] MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=short Nodes=n[1-4] MaxTime=10 State=UP
PartitionName=spare Nodes=n[5-6] MaxTime=INFINITE State=UP
PartitionName=weak Nodes=n[7-8] MaxTime=INFINITE State=UP
PartitionName=shapes Nodes=n[9-10] MaxTime=INFINITE State=UP
PartitionName=low Nodes=n11 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=n11 MaxTime=INFINITE State=UP PriorityTier=100
"""

SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
PidFile={folder}/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
"""


class ClusterError(RuntimeError):
    """A daemon that does not start, or a package that is missing; the message says what to do."""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in (*DAEMONS, "sbatch", "mariadb-install-db") if which(name) is None]


def which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def install() -> None:
    """Debian's packages; `policy-rc.d` keeps them from starting services of their own."""
    if not missing():
        return
    hint = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or which("apt-get") is None:
        raise ClusterError(f"not installed: {', '.join(missing())}. As root on Debian: {hint}")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        patient = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
        for command in (["apt-get", "update", *patient], [*hint.split(), "-y", *patient]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode and command[1] == "install":
                raise ClusterError(f"{hint}: {done.stderr.strip()[-500:]}")
    finally:
        if ours:
            policy.unlink()


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
                f"not installed: {', '.join(missing())}. Run as root: python tests/slurm/cluster.py install"
            )
        for name in ("munge", "log", "state", "sql", *(f"spool-{node}" for node in ALL)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.configure(kill_wait=kill_wait, node_timeout=node_timeout)
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

    def configure(self, *, kill_wait: int, node_timeout: int) -> None:
        ports = free_ports(3 + len(ALL))
        words = {
            "folder": self.folder,
            "user": user(),
            "kill_wait": kill_wait,
            "node_timeout": node_timeout,
            "ctld_port": ports[0],
            "dbd_port": ports[1],
            "sql_port": ports[2],
        }
        nodes = [
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={CPUS_PER_NODE}"
            f" RealMemory={MEMORY_MB} Gres=gpu:fake:{GPUS_PER_NODE} State=UNKNOWN"
            for node, port in zip(ALL, ports[3:], strict=True)
        ]
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**words, nodes="\n".join(nodes)))
        database = self.folder / "slurmdbd.conf"
        database.write_text(SLURMDBD_CONF.format(**words))
        database.chmod(0o600)
        (self.folder / "sql_port").write_text(str(ports[2]))
        for number in range(GPUS_PER_NODE):  # a device per GPU: Slurm then sets CUDA_VISIBLE_DEVICES
            device = self.folder / f"fakegpu{number}"
            if not device.is_symlink():
                device.symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(
            "".join(
                f"NodeName={node} Name=gpu Type=fake File={self.folder}/fakegpu{number}\n"
                for node in ALL
                for number in range(GPUS_PER_NODE)
            )
        )
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        # Snakemake's job step drops SLURM_CONF before it calls srun; on a cluster the file has its usual place.
        (self.folder / "bin").mkdir(exist_ok=True)
        for name in ("srun", "squeue", "scontrol"):
            script = self.folder / "bin" / name
            script.write_text(
                f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which(name)} "$@"\n'
            )
            script.chmod(0o755)

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
        """Cancel all jobs, then end the daemons. Files stay for whoever wants to read the logs."""
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


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and is not waited for yet does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def words(pid: int) -> str:
    """What a process calls itself."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return ""


def parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all held until the last one is found."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


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
