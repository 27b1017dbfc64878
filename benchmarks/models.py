"""Speed and memory of the networks: ours against a naive formulation with plain Conv3d, in one run.

    python benchmarks/models.py             CPU: forward, forward and backward, peak memory (ten minutes)
    python benchmarks/models.py --clip 4x16x112    the same on four clips at a time
    python benchmarks/models.py --compiled  the same with the forward pass also through torch.compile
    python benchmarks/models.py --recompute 128-frame training of ResNet-101 with and without recomputing blocks
    python benchmarks/models.py --gpu       a GPU: clips per second and share of its bf16 peak (`models_gpu.py`)

Every form has a process of its own, as it would when used, and they take turns: a busy machine disturbs all alike,
and ratios are of medians. With one thread, time is the processor's, without waits for its turn. "Ours" keeps freed
memory as our jobs do (`lgdnet/pages.py`); what that alone would do for the naive form is a row of its own. Peak memory
is that of all passes, above the built model. "Bound" is where every multiply-add of the network runs at the core's
rate and nothing else takes time.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "models")]

import models_gpu  # noqa: E402
import torch  # noqa: E402
from naive_models import NaiveLGDResNet, NaiveXception  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.memory import resident_mib  # noqa: E402
from lgdnet.models import build_model, count_gflops, for_inference, fused  # noqa: E402
from lgdnet.pages import keep_pages  # noqa: E402

NUM_CLASSES = 700
NAIVE = {
    "lgd-p3d-resnet50": lambda: NaiveLGDResNet(num_classes=NUM_CLASSES, order="paper"),
    "lgd-p3d-xception": lambda: NaiveXception(num_classes=NUM_CLASSES, lgd=True),
}
KEPT = "naive, freed memory kept"
FORWARD, BOTH = "forward", "forward + backward"


@dataclass(frozen=True)
class Task:
    """One way to compute one network."""

    form: str
    name: str
    what: str  # FORWARD or BOTH
    shape: tuple[int, ...]
    threads: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", default="16x16x112", help="clips x frames x pixels (default 16x16x112)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {arguments.threads} thread(s)"
    )
    if arguments.gpu:
        models_gpu.main([])
    elif arguments.recompute:
        recomputing(arguments.threads)
    else:
        N, T, S = (int(part) for part in arguments.clip.split("x"))
        for name in NAIVE:
            against_naive(name, (N, 3, T, S, S), arguments)


# ---- CPU, against the naive formulation


def against_naive(name: str, shape: tuple[int, ...], arguments: argparse.Namespace) -> None:
    """One Markdown table: each way of computing, its time, its ratio to the naive one, its peak memory."""
    network = build_model(name, in_channels=3, num_classes=NUM_CLASSES)
    gflops = count_gflops(network, shape)
    rate = core_rate()
    print(f"\n{name}, {'x'.join(map(str, shape))}, {gflops:.1f} GFLOPs (multiply-adds)\n")
    print("| pass | form | ms | naive / this | of the bound | peak MiB |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for_forward = ["naive", KEPT, "ours", "ours, for inference"] + ["ours, compiled"] * arguments.compiled
    # The backward pass multiplies twice as much, but that nobody asks for a gradient of the clip.
    three_passes = 3 * gflops - count_gflops(network.stem.conv1, shape)
    for what, work, forms in ((FORWARD, gflops, for_forward), (BOTH, three_passes, ["naive", KEPT, "ours"])):
        tasks = {form: Task(form, name, what, shape, arguments.threads) for form in forms}
        median, peak = measured(tasks, arguments.repeats)
        bound = 2e9 * work / rate
        for form, sec in [*median.items(), ("bound", bound)]:
            memory = f"{peak[form]:.0f}" if form in peak and form != "ours, compiled" else ""
            cells = (what, form, f"{1e3 * sec:.0f}", f"{median['naive'] / sec:.2f}", f"{bound / sec:.0%}")
            print("| " + " | ".join([*cells, memory]) + " |", flush=True)


def measured(tasks: dict[str, Task], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each form, taking turns after two rounds to warm up, and the most MiB that it needed."""
    times: dict[str, list[float]] = {form: [] for form in tasks}
    peak: dict[str, float] = {}
    with processes(tasks) as connections:
        for _ in range(repeats + 2):
            for form, connection in connections.items():
                connection.send("run")
                times[form].append(connection.recv())
        for form, connection in connections.items():
            connection.send("peak")
            peak[form] = connection.recv()
    return {form: statistics.median(values[2:]) for form, values in times.items()}, peak


def core_rate() -> float:
    """Operations per second with these threads: the faster of a large float32 matrix product and a convolution."""
    one, other = torch.randn(2048, 2048), torch.randn(2048, 2048)
    image = torch.randn(16, 128, 28, 28).to(memory_format=torch.channels_last)
    kernel = torch.randn(128, 128, 3, 3)
    runs = {
        "product": lambda: one @ other,
        "convolution": lambda: torch.nn.functional.conv2d(image, kernel, padding=1),
    }
    work = {"product": 2 * 2048**3, "convolution": 2 * 9 * 128**2 * 16 * 28**2}
    return max(work[form] / min(timed(run) for _ in range(20)) for form, run in runs.items())


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    begin = clock()
    run()
    return clock() - begin


# ---- a process for each form


@contextmanager
def processes(tasks: dict[str, Task]) -> Iterator[dict[str, Connection]]:
    """A process for each task, which answers until the end of the context."""
    spawn = multiprocessing.get_context("spawn")
    connections: dict[str, Connection] = {}
    try:
        for form, task in tasks.items():
            connections[form], theirs = spawn.Pipe()
            spawn.Process(target=serve, args=(task, theirs), daemon=True).start()
            theirs.close()
        yield connections
    finally:
        for connection in connections.values():
            connection.close()  # ends its process


def serve(task: Task, connection: Connection) -> None:
    """Seconds of one more pass whenever asked, and the most MiB that they took; Linux only."""
    torch.set_num_threads(task.threads)
    if task.form != "naive":
        keep_pages()
    run = prepared(task)
    before = resident_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
    try:
        while True:
            asked = connection.recv()
            connection.send(timed(run) if asked == "run" else resident_mib("VmHWM") - before)
    except EOFError:
        return


def prepared(task: Task) -> Callable[[], object]:
    """The network of a task and its clip, ready to run."""
    torch.manual_seed(0)
    clip = torch.randn(task.shape)
    if task.form in ("naive", KEPT):
        model: nn.Module = NAIVE[task.name]()
    else:
        again = task.form == "recompute each block"
        model = build_model(task.name, in_channels=3, num_classes=NUM_CLASSES, checkpointing=again)
    model.train(task.what == BOTH)
    if task.form == "ours, for inference":
        model = for_inference(model)
    elif task.form == "ours, compiled":
        model = compiled(fused(model, in_place=True))
    return (lambda: step(model, clip)) if task.what == BOTH else (lambda: logits(model, clip))


def logits(model: nn.Module, clip: Tensor) -> Tensor:
    """What is predicted, without anything for a backward pass."""
    with torch.inference_mode():
        output = model(clip)
    return output if isinstance(output, Tensor) else output.logits


def step(model: nn.Module, clip: Tensor) -> None:
    """Forward and backward; gradients are dropped, as an optimizer's step would."""
    output = model(clip)
    (output if isinstance(output, Tensor) else output.logits).square().mean().backward()
    model.zero_grad(set_to_none=True)


def compiled(model: nn.Module) -> nn.Module:
    """The forward pass through inductor, with constant weights."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    return torch.compile(model)


# ---- activation checkpointing


def recomputing(threads: int) -> None:
    """128-frame training of LGD-P3D-ResNet-101, with and without activation checkpointing."""
    name, shape = "lgd-p3d-resnet101", (1, 3, 128, 112, 112)
    print(f"\n{name}, {'x'.join(map(str, shape))}, {BOTH}\n\n| form | s | peak MiB |\n| --- | ---: | ---: |")
    forms = ("keep all activations", "recompute each block")
    median, peak = measured({form: Task(form, name, BOTH, shape, threads) for form in forms}, repeats=3)
    for form in forms:
        print(f"| {form} | {median[form]:.1f} | {peak[form]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
