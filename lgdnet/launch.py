"""One command for one process, several GPUs, or several nodes: `python -m lgdnet.launch train ...`.

With `--step` inside a Slurm job of several nodes the command starts as a job step, one task on every node. On one
node the process is part of the step that waits for it, and Slurm's signals reach it there: an `srun` in between would
hear them too, and end its tasks before they have saved.

It runs `python -m lgdnet train ...` right here when there is one process to run; else torchrun starts one per
GPU, on all nodes of a Slurm job step (one task per node). Addresses and ports come from the environment. Signals
reach the processes, and the exit code 75 of a stopped run comes out again, so that the workflow retries.
"""

import atexit
import contextlib
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread

from lgdnet.artefact import digest, write_text
from lgdnet.errors import InputError
from lgdnet.interrupt import EXIT_RETRY, exit_on_signal
from lgdnet.slurm import ask

ACCOUNT = "wall_sec,cpu_sec,memory_mb,gpus,settings\n"
ACCOUNT_SEC = 60
SIGNALS_PASSED_ON = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


def main(arguments: Sequence[str]) -> None:
    """`[--step] [--usage LOG] [--processes N] COMMAND ...`; N processes per node, by default one per GPU."""
    if arguments and arguments[0] == "--step":
        arguments = arguments[1:]
        try:
            step = srun_options(os.environ)
        except InputError as error:
            sys.exit(f"error: {error}")
        if step:
            os.execvp("srun", ["srun", *step, sys.executable, "-m", "lgdnet.launch", *arguments])
    with exit_on_signal():
        if arguments and arguments[0] == "--usage":
            keep_account(Path(arguments[1]).with_suffix(".usage.csv"), os.environ, arguments[2:])
            arguments = arguments[2:]
        num_processes, arguments = processes_asked_for(arguments)
        options = torchrun_options(os.environ, num_processes or num_gpus())
        if options:
            sys.exit(torchrun([*options, "-m", "lgdnet", *arguments]))
        from lgdnet.__main__ import main as command_line

        sys.argv[1:] = arguments
        command_line()


def processes_asked_for(arguments: Sequence[str]) -> tuple[int, Sequence[str]]:
    """Processes per node, 0 where nothing is said, and the other arguments; SystemExit(2) for a bad number."""
    if not arguments or arguments[0] != "--processes":
        return 0, arguments
    number = arguments[1] if len(arguments) > 1 else ""
    if not number.isdecimal() or int(number) < 1:
        print(f"error: --processes {number}: say how many per node, 1 or more.", file=sys.stderr)
        sys.exit(2)
    return int(number), arguments[2:]


def keep_account(path: Path, environment: Mapping[str, str], arguments: Sequence[str]) -> None:
    """A line of what this process and its children used, brought up to date every minute and at its end.

    So an attempt that is killed without a word counts too. Snakemake's benchmark has the last attempt only, and
    of a job step no more than the `srun` that waits for it. On several nodes the first one speaks for all.
    """
    if int(environment.get("SLURM_NODEID", 0)) > 0:
        return
    begin, num_nodes = time.monotonic(), int(environment.get("SLURM_STEP_NUM_NODES", 1))
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if not before.startswith(ACCOUNT):
        before = ACCOUNT
    work, gpus, one_at_a_time = settings_digest(arguments), num_nodes * gpus_held(environment), Lock()

    def write() -> None:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu_sec = num_nodes * sum(one.ru_utime + one.ru_stime for one in used)
        memory_mb = max(one.ru_maxrss for one in used) / 1024
        wall_sec = time.monotonic() - begin
        with one_at_a_time, contextlib.suppress(OSError):  # a full disk is named by the work itself
            write_text(path, f"{before}{wall_sec:.2f},{cpu_sec:.2f},{memory_mb:.0f},{gpus},{work}\n")

    def keep_writing() -> None:
        while True:
            write()
            time.sleep(ACCOUNT_SEC)

    atexit.register(write)
    Thread(target=keep_writing, daemon=True).start()


def settings_digest(arguments: Sequence[str]) -> str:
    """Tells attempts at one piece of work from those of before its settings were changed."""
    given = list(arguments)
    return digest(given[given.index("--settings") + 1] if "--settings" in given[:-1] else "")


def gpus_held(environment: Mapping[str, str]) -> int:
    """GPUs of one node that this process may use; Slurm names them where it gave any."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return len(
            [name for name in environment["CUDA_VISIBLE_DEVICES"].split(",") if name not in ("", "-1")]
        )
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def num_gpus() -> int:
    """GPUs that this process may use."""
    import torch

    return torch.cuda.device_count()


def srun_options(environment: Mapping[str, str]) -> list[str]:
    """Options of a job step with one task on every node; none where this is one, on one node, and outside of Slurm.

    Errors: InputError when the queue does not say how many nodes the job has.
    """
    if "SLURM_JOB_ID" not in environment or "SLURM_STEP_NUM_NODES" in environment:
        return []
    # Asked for, not read from the environment: Snakemake drops it where the job spans nodes.
    job = environment["SLURM_JOB_ID"]
    answer = (ask("squeue", "--noheader", f"--jobs={job}", "--format=%D %C") or "").split()
    if len(answer) != 2:
        raise InputError(f"squeue does not say how many nodes job {job} has; is Slurm's controller there?")
    num_nodes, num_cores = int(answer[0]), int(answer[1])
    if num_nodes == 1:
        return []
    return [
        "--overlap",
        "--mem=0",
        f"--nodes={num_nodes}",
        f"--ntasks={num_nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={num_cores // num_nodes}",
        "--cpu-bind=none",
        "--kill-on-bad-exit=1",
    ]


def torchrun_options(environment: Mapping[str, str], num_processes: int) -> list[str]:
    """Options of torchrun; none when this is the only process, or Slurm has started all of them already."""
    num_nodes = int(environment.get("SLURM_STEP_NUM_NODES", 1))
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > num_nodes:
        return []
    options = [f"--nproc-per-node={max(num_processes, 1)}", "--max-restarts=0"]
    if num_nodes == 1:
        return ["--standalone", *options] if num_processes > 1 else []
    job = int(environment["SLURM_JOB_ID"])
    step = int(environment.get("SLURM_STEP_ID", 0))
    return [
        f"--nnodes={num_nodes}",
        *options,
        "--rdzv-backend=c10d",
        f"--rdzv-id={job}.{step}.{environment.get('SLURM_RESTART_COUNT', 0)}",
        # The same on all nodes without talking; jobs that share a node have other numbers.
        f"--rdzv-endpoint={address_of(first_host(environment['SLURM_STEP_NODELIST']))}:{20000 + (job * 7 + step) % 20000}",
    ]


def first_host(nodes: str) -> str:
    """First name in a Slurm list of nodes: `gpu[03-06,9],login` -> `gpu03`."""
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    assert found, f"no host in {nodes!r}"
    return "".join(part or "" for part in found.groups())


def address_of(node: str) -> str:
    """The node's name, or what Slurm calls it by where that name means nothing to the others."""
    with contextlib.suppress(OSError):
        socket.getaddrinfo(node, None)
        return node
    found = re.search(r"NodeAddr=(\S+)", ask("scontrol", "--oneliner", "show", "node", node) or "")
    return found[1] if found else node


def torchrun(arguments: Sequence[str]) -> int:
    """Run torchrun in this process; its exit code, 75 if a process ended with that or a signal asked to stop."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run

    try:
        run([f"--signals-to-handle={SIGNALS_PASSED_ON}", *arguments])
    except SignalException:  # all processes were told, and waited for
        return EXIT_RETRY
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        return EXIT_RETRY if EXIT_RETRY in codes else max(1, *codes)
    return 0


if __name__ == "__main__":
    main(sys.argv[1:])
