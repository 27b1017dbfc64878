"""One command for one process, several GPUs, or several nodes: `python -m lgdnet.launch train ...`.

It runs `python -m lgdnet train ...` right here when there is one process to run; else torchrun starts one per
GPU, on all nodes of a Slurm job step (one task per node). Addresses and ports come from the environment. Signals
reach the processes, and the exit code 75 of a stopped run comes out again, so that the workflow retries.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence

from lgdnet.interrupt import EXIT_RETRY, exit_on_signal

SIGNALS_PASSED_ON = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


def main(arguments: Sequence[str]) -> None:
    """`[--processes N] COMMAND ...`; N processes per node, by default one per GPU."""
    with exit_on_signal():
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


def num_gpus() -> int:
    """GPUs that this process may use."""
    import torch

    return torch.cuda.device_count()


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
        f"--rdzv-endpoint={first_host(environment['SLURM_STEP_NODELIST'])}:{20000 + (job * 7 + step) % 20000}",
    ]


def first_host(nodes: str) -> str:
    """First name in a Slurm list of nodes: `gpu[03-06,9],login` -> `gpu03`."""
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    assert found, f"no host in {nodes!r}"
    return "".join(part or "" for part in found.groups())


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
