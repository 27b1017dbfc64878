"""Kill a training run again and again, let it resume, and compare it with one that was left alone.

`python -m tests.training.survival --kills 20` prints what happened; `--processes 2` does it under torchrun.
The run is the toy of `toy.py` with checkpoints so large and frequent that writing them takes much of the time.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from lgdnet.checkpoint import read_model
from lgdnet.history import read_history

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
EXPECTED = {signal.SIGKILL: -9, signal.SIGTERM: 75, signal.SIGUSR1: 75}
COLUMNS = ("step", "split", "loss", "learning_rate", "gradient_norm", "top1")


@dataclass
class Kill:
    """One disturbance: where training was when it began, what was sent, when, and what came of it."""

    resumed_at: int
    signal: str
    writing: bool  # a checkpoint was being written
    exit_code: int
    expected_code: int
    newest: int  # step of the newest checkpoint afterwards

    def __str__(self) -> str:
        what = "while writing a checkpoint" if self.writing else ""
        return f"{self.signal:8} resumed at {self.resumed_at:4}, left at {self.newest:4}, exit {self.exit_code:3} {what}"


def command(folder: Path, processes: int, settings: dict[str, float]) -> list[str]:
    """The toy as a process, or as several under our launcher's torchrun."""
    toy = ["tests.training.toy", str(folder), *(f"{key}={value}" for key, value in settings.items())]
    if processes == 1:
        return [sys.executable, "-m", *toy]
    start = "import sys; from lgdnet.launch import torchrun; sys.exit(torchrun(sys.argv[1:]))"
    return [
        sys.executable,
        "-c",
        start,
        "--standalone",
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
        "-m",
        *toy,
    ]


def start(folder: Path, processes: int, settings: dict[str, float]) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "errors.txt").open("a") as errors:
        return subprocess.Popen(
            command(folder, processes, settings),
            cwd=root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=errors,
        )


def newest_step(folder: Path) -> int:
    names = sorted(path.name for path in (folder / "checkpoints").glob("step-*.safetensors"))
    return int(names[-1][5:13]) if names else 0


def wait_until(true: Callable[[], bool], timeout_sec: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_sec
    while not true() and time.monotonic() < deadline:
        pass


def disturb(
    folder: Path, processes: int, settings: dict[str, float], chance: random.Random, which: signal.Signals
) -> Kill | None:
    """Start the run, send it a signal at a random moment, wait for its end; None when it was finished before."""
    process = start(folder, processes, settings)
    assert process.stdout
    ready = [process.stdout.readline().split() for _ in range(processes)]
    if not all(ready):
        process.wait()
        return None
    writing = chance.random() < 0.5
    # Under torchrun SIGKILL hits one worker, as the kernel's memory killer would; the other signals hit all.
    target = int(chance.choice(ready)[1]) if which == signal.SIGKILL else process.pid
    # By progress, not by the clock: a slow machine must be hit as often as a fast one, and the end not reached.
    goal = int(ready[0][2]) + chance.randrange(0, 3 * int(settings["save_every_steps"]))
    wait_until(lambda: newest_step(folder) >= goal or process.poll() is not None)
    if writing:
        wait_until(lambda: bool(list((folder / "checkpoints").glob("*.tmp"))) or process.poll() is not None)
    else:
        time.sleep(chance.uniform(0.0, 0.05))
    if process.poll() is not None:
        return None
    writing = bool(list((folder / "checkpoints").glob("*.tmp")))
    os.kill(target, which)
    process.communicate(timeout=120)
    expected = 1 if which == signal.SIGKILL and processes > 1 else EXPECTED[which]
    return Kill(int(ready[0][2]), which.name, writing, process.returncode, expected, newest_step(folder))


def survive(
    folder: Path, *, kills: int, processes: int = 1, num_steps: int = 400, seed: int = 0
) -> list[Kill]:
    """Kill a run `kills` times, then let it end; AssertionError where it does not equal the undisturbed one."""
    settings = {
        "num_steps": num_steps,
        "extra": 4_000_000,
        "save_every_steps": 5,
        "pause": 0.005,
        "log_every": 5,
    }
    calm, rough = folder / "calm", folder / "rough"
    run_to_the_end(calm, processes, settings)
    chance, done = random.Random(seed), []
    while len(done) < kills:
        kill = disturb(rough, processes, settings, chance, SIGNALS[len(done) % len(SIGNALS)])
        assert kill is not None, f"the run ended after {len(done)} kills; give it more steps"
        print(kill, flush=True)
        done.append(kill)
    run_to_the_end(rough, processes, settings)
    weights, _ = read_model(calm / "model.safetensors")
    survived, _ = read_model(rough / "model.safetensors")
    for name, value in weights.items():
        assert torch.equal(value, survived[name]), f"{name} differs"
    histories = [
        [tuple(row[c] for c in COLUMNS) for row in read_history(f / "history.csv")] for f in (calm, rough)
    ]
    assert histories[0] == histories[1], "the histories differ"
    for kill in done:
        assert kill.exit_code == kill.expected_code, kill
    return done


def run_to_the_end(folder: Path, processes: int, settings: dict[str, float]) -> None:
    process = start(folder, processes, settings)
    process.communicate(timeout=600)
    assert process.returncode == 0, (folder / "errors.txt").read_text()[-3000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kills = survive(
            Path(folder),
            kills=options.kills,
            processes=options.processes,
            num_steps=options.steps,
            seed=options.seed,
        )
    writing = sum(kill.writing for kill in kills)
    print(
        f"{len(kills)} kills, {writing} of them while a checkpoint was being written: "
        "weights and history are those of the undisturbed run, bit for bit"
    )


if __name__ == "__main__":
    main()
