"""Speed and memory of the networks: ours against a naive formulation with plain Conv3d, in one run.

    python benchmarks/models.py             CPU: forward, forward and backward, peak memory (two minutes)
    python benchmarks/models.py --compiled  the same with the forward pass also through torch.compile
    python benchmarks/models.py --recompute 128-frame training of ResNet-101 with and without recomputing blocks
    python benchmarks/models.py --gpu       a GPU: clips per second and share of its bf16 peak (`models_gpu.py`)

Naive and ours take turns, and ratios are of medians, so that a busy machine disturbs both alike; with one thread,
time is the processor's, without waits for its turn. Peak memory is that of a process of its own, above what it held
before its first step. "Bound" is where every multiply-add of the network runs at the core's rate and nothing else
takes time: no form that multiplies directly is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "models")]

import models_gpu  # noqa: E402
import torch  # noqa: E402
from naive_models import NaiveLGDResNet, NaiveXception  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.memory import resident_mib  # noqa: E402
from lgdnet.models import build_model, count_gflops, fused  # noqa: E402

NUM_CLASSES = 700
NAIVE = {
    "lgd-p3d-resnet50": lambda: NaiveLGDResNet(num_classes=NUM_CLASSES, order="paper"),
    "lgd-p3d-xception": lambda: NaiveXception(num_classes=NUM_CLASSES, lgd=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", default="4x16x112", help="clips x frames x pixels (default 4x16x112)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # one measurement of memory, called by ourselves
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        print(peak_here(**json.loads(arguments.peak)))
        return
    print(
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {arguments.threads} thread(s)"
    )
    if arguments.gpu:
        models_gpu.main([])
    elif arguments.recompute:
        recomputing()
    else:
        N, T, S = (int(part) for part in arguments.clip.split("x"))
        for name in NAIVE:
            against_naive(name, (N, 3, T, S, S), arguments)


# ---- CPU, against the naive formulation


def against_naive(name: str, shape: tuple[int, ...], arguments: argparse.Namespace) -> None:
    """One Markdown table: each way of computing, its time, its ratio to the naive one, its peak memory."""
    naive, ours, clip = (
        NAIVE[name](),
        build_model(name, in_channels=3, num_classes=NUM_CLASSES),
        torch.randn(shape),
    )
    print(f"\n{name}, {'x'.join(map(str, shape))}, {count_gflops(ours, shape):.1f} GFLOPs (multiply-adds)\n")
    print("| pass | form | ms | naive / this | of the bound | peak MiB |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    forward = {"naive": naive.eval(), "ours": ours.eval(), "ours, fused": fused(ours)}
    if arguments.compiled:
        forward["ours, compiled"] = compiled(ours)
    with torch.inference_mode():
        report(
            "forward", {k: lambda m=m: logits(m, clip) for k, m in forward.items()}, name, shape, arguments
        )
    naive.train(), ours.train()
    training = {"naive": lambda: step(naive, clip), "ours": lambda: step(ours, clip)}
    report("forward + backward", training, name, shape, arguments)


def report(
    what: str,
    runs: dict[str, Callable[[], object]],
    name: str,
    shape: tuple[int, ...],
    arguments: argparse.Namespace,
) -> None:
    """Time all forms in turns and print one line for each, then the bound."""
    median = medians(runs, arguments.repeats)
    passes = 1 if what == "forward" else 3  # the backward pass multiplies twice as much
    work = 2e9 * passes * count_gflops(build_model(name, in_channels=3, num_classes=NUM_CLASSES), shape)
    bound = work / core_rate()
    memory = {
        form: f"{peak(name, form, what, shape, arguments.threads):.0f}"
        for form in runs
        if form != "ours, compiled"
    }
    for form, sec in [*median.items(), ("bound", bound)]:
        cells = (what, form, f"{1e3 * sec:.0f}", f"{median['naive'] / sec:.2f}", f"{bound / sec:.0%}")
        print("| " + " | ".join([*cells, memory.get(form, "")]) + " |", flush=True)


def medians(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each form, all of them in turns; the first round warms up."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {form: [] for form in runs}
    for _ in range(repeats + 1):
        for form, run in runs.items():
            begin = clock()
            run()
            times[form].append(clock() - begin)
    return {form: statistics.median(values[1:]) for form, values in times.items()}


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
    return max(work[form] / sec for form, sec in medians(runs, 5).items())


def logits(model: nn.Module, clip: Tensor) -> Tensor:
    output = model(clip)
    return output if isinstance(output, Tensor) else output.logits


def step(model: nn.Module, clip: Tensor) -> None:
    """Forward and backward; gradients are dropped, as an optimizer's step would."""
    logits(model, clip).square().mean().backward()
    model.zero_grad(set_to_none=True)


def compiled(model: nn.Module) -> nn.Module:
    """The forward pass through inductor, with constant weights."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    return torch.compile(model)


# ---- memory


def peak(
    name: str, form: str, what: str, shape: tuple[int, ...], threads: int, recompute: bool = False
) -> float:
    """MiB that one pass needs above the built model, in a process of its own."""
    task = {"name": name, "form": form, "what": what, "shape": shape, "recompute": recompute}
    command = [sys.executable, __file__, "--threads", str(threads), "--peak", json.dumps(task)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_here(name: str, form: str, what: str, shape: list[int], recompute: bool) -> float:
    """Largest resident size during one pass, gradients included, above that before it; Linux only."""
    if form == "naive":
        model: nn.Module = NAIVE[name]()
    else:
        model = build_model(name, in_channels=3, num_classes=NUM_CLASSES, checkpointing=recompute)
    if form == "ours, fused":
        model = fused(model.eval())
    model.train(what != "forward")
    clip = torch.randn(*shape)
    before = resident_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
    if what == "forward":
        with torch.inference_mode():
            logits(model, clip)
    else:
        logits(model, clip).square().mean().backward()
    return resident_mib("VmHWM") - before


def recomputing() -> None:
    """128-frame training of LGD-P3D-ResNet-101, with and without activation checkpointing."""
    print(
        "\nlgd-p3d-resnet101, 1x3x128x112x112, forward + backward\n\n| form | s | peak MiB |\n| --- | ---: | ---: |"
    )
    clip = torch.randn(1, 3, 128, 112, 112)
    forms = {"keep all activations": False, "recompute each block": True}
    models = {
        form: build_model(
            "lgd-p3d-resnet101", in_channels=3, num_classes=NUM_CLASSES, checkpointing=recompute
        )
        for form, recompute in forms.items()
    }
    times: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(3):
        for form, model in models.items():
            begin = time.perf_counter()
            step(model, clip)
            times[form].append(time.perf_counter() - begin)
    for form, recompute in forms.items():
        shape, threads = tuple(clip.shape), torch.get_num_threads()
        memory = peak("lgd-p3d-resnet101", "ours", "forward + backward", shape, threads, recompute)
        print(f"| {form} | {min(times[form]):.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
