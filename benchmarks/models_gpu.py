"""The networks on a GPU in bf16: clips per second and the share of the card's peak. `models.py --gpu` calls this.

    python benchmarks/models_gpu.py                       all rows; compiled ones take minutes to compile
    python benchmarks/models_gpu.py --forms eager
    python benchmarks/models_gpu.py --forms compiled --passes training --models lgd-p3d-xception
    python benchmarks/models_gpu.py --forms whole          compiled as one graph: minutes a row
    python benchmarks/models_gpu.py --layers              single layers in the forms that could compute them
    python benchmarks/models_gpu.py --seconds 500         no row begins after that

Inference is the network as `fused` makes it, with weights and clips in bf16, without gradients. Training is forward
pass under autocast, backward pass and a step of SGD. Times are medians of passes by the GPU's own clock; "off by" is
the largest difference of a logit from float32, as a share of the largest logit.
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgdnet.models import TwoPathNetwork, build_model, count_gflops, fused, training_loss

MODELS = ("lgd-p3d-resnet101", "lgd-p3d-xception")
CLIPS = ((64, 16), (8, 128))  # N, T: the same number of frames
PIXELS, NUM_CLASSES = 224, 700
# Dense bf16 TFLOP/s as the maker states them.
PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "4090": 165}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--passes", nargs="+", default=("inference", "training"))
    parser.add_argument("--forms", nargs="+", default=("eager", "compiled"), help="also: whole")
    parser.add_argument("--frames", nargs="+", type=int, default=[T for _, T in CLIPS])
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    choices = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here: nothing measured")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # what bf16 is compared with
    card, rate = torch.cuda.get_device_name(), matrix_rate()
    tflops = next((value for key, value in PEAK_TFLOPS.items() if key in card), None)
    print(f"{card}, torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    print(f"bf16 peak {tflops or 'unknown'} TFLOP/s; a matrix product of 8192 x 8192 x 8192: {rate:.0f}\n")
    if choices.layers:
        layers()
    else:
        networks(choices, tflops, rate)


def networks(choices: argparse.Namespace, tflops: float | None, rate: float) -> None:
    """One line for each form, pass, model and clip; the slow ones to build last."""
    print("| model | clip | pass | form | clips/s | of peak | of a product | GiB | first pass, s | off by |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    begin = time.perf_counter()
    for form in choices.forms:
        for what in choices.passes:
            for name in choices.models:
                for N, T in (clip for clip in CLIPS if clip[1] in choices.frames):
                    line = f"| {name} | {N}x{T}x{PIXELS} | {what} | {form} |"
                    if time.perf_counter() - begin > choices.seconds:
                        print(f"{line} no time left |", flush=True)
                        continue
                    try:
                        print(line, row(name, N, T, what, form, tflops, rate), flush=True)
                    except torch.OutOfMemoryError:
                        print(f"{line} out of memory |", flush=True)
                    clean()


def row(name: str, N: int, T: int, what: str, form: str, tflops: float | None, rate: float) -> str:
    """Build, warm up, measure: the cells of one line."""
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = build_model(name, in_channels=3, num_classes=NUM_CLASSES)
        clip = torch.randn(N, 3, T, PIXELS, PIXELS)
    flops = 2e9 * count_gflops(model, (1, 3, T, PIXELS, PIXELS)) * (3 if what == "training" else 1)
    torch.cuda.reset_peak_memory_stats()
    run, exact = training(model, clip, form) if what == "training" else inference(model, clip, form)
    begin = time.perf_counter()
    logits = run()[0].float()
    torch.cuda.synchronize()
    first = time.perf_counter() - begin
    off = "" if exact is None else f"{(logits - exact).abs().max() / exact.abs().max():.1e}"
    clips_per_sec = N / median_sec(run)
    achieved = clips_per_sec * flops / 1e12
    share = f"{achieved / tflops:.1%}" if tflops else ""
    memory = torch.cuda.max_memory_allocated() / 2**30
    return f"{clips_per_sec:.0f} | {share} | {achieved / rate:.1%} | {memory:.1f} | {first:.0f} | {off} |"


def training(model: TwoPathNetwork, clip: Tensor, form: str) -> tuple[Callable[[], Tensor], None]:
    """A step: forward under autocast, backward, SGD."""
    model = model.to(memory_format=torch.channels_last_3d).train()
    clip = clip.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)
    forward = in_form(model, form)
    label = torch.arange(len(clip), device="cuda")

    def step() -> Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            output = forward(clip)
            loss = training_loss(output, label)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return output.logits.detach()

    return step, None


def inference(model: TwoPathNetwork, clip: Tensor, form: str) -> tuple[Callable[[], Tensor], Tensor]:
    """A forward pass, and the first clip's logits in float32."""
    model = fused(model.eval())
    with torch.no_grad():
        exact = model(clip[:1]).logits[0]
    model, clip = model.bfloat16(), clip.bfloat16().to(memory_format=torch.channels_last_3d)
    forward = in_form(model, form)

    def run() -> Tensor:
        with torch.no_grad():  # not inference mode, which not every version of torch.compile takes
            return forward(clip).logits

    return run, exact


def in_form(model: TwoPathNetwork, form: str) -> nn.Module:
    """Eager, compiled block by block as the trainer does it, or compiled as one graph ("whole")."""
    if form == "compiled":
        model.compile_blocks()
    return torch.compile(model, fullgraph=True, dynamic=False) if form == "whole" else model


def median_sec(run: Callable[[], object], *, warm_up: int = 3, repeats: int = 11) -> float:
    """Of one pass, by the GPU's clock."""
    for _ in range(warm_up):
        run()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in pairwise(marks)) / 1e3


def matrix_rate() -> float:
    """TFLOP/s of a large bf16 matrix product: what a network made of nothing else would reach."""
    one, other = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / median_sec(lambda: one @ other) / 1e12


def clean() -> None:
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


# ---- single layers


LAYERS = (  # kernel, channels, whether depthwise, pixels of a side
    ((1, 3, 3), 728, True, 14),
    ((3, 1, 1), 728, True, 14),
    ((1, 3, 3), 128, True, 56),
    ((3, 1, 1), 128, True, 56),
    ((1, 3, 3), 256, False, 14),
    ((3, 1, 1), 256, False, 14),
    ((3, 1, 1), 64, False, 56),
)


def layers() -> None:
    """Milliseconds of single layers on channels-last bf16 clips, in the forms that could compute them."""
    print(
        "| layer | form | forward, ms | forward + backward, ms | off by |\n| --- | --- | ---: | ---: | ---: |"
    )
    N, T = CLIPS[0][0], CLIPS[0][1] // 4  # after the stem
    for kernel, C, depthwise, side in LAYERS:
        name = f"{'depthwise ' * depthwise}{'x'.join(map(str, kernel))}, {C} channels, {N}x{T}x{side}x{side}"
        groups = C if depthwise else 1
        x = torch.randn(N, T, side, side, C, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        w = torch.randn(C, C // groups, *kernel, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        forms = {"conv2d": folded_conv, "conv3d": plain_conv}
        if depthwise:
            forms |= {
                "sum of shifts": shifts,
                "sum of shifts, compiled": torch.compile(shifts, dynamic=False),
            }
        exact = plain_conv(x.detach().float(), w.detach().float(), groups)
        for form, compute in forms.items():
            print(f"| {name} | {form} | {layer(compute, x, w, groups, exact)} |", flush=True)
        clean()


def layer(compute: Callable[..., Tensor], x: Tensor, w: Tensor, groups: int, exact: Tensor) -> str:
    """Times of one form, and the largest difference from float32."""
    direction = torch.randn_like(x)
    with torch.no_grad():
        forward = median_sec(lambda: compute(x, w, groups))
        off = (compute(x, w, groups) - exact).abs().max() / exact.abs().max()
    both = median_sec(lambda: torch.autograd.grad(compute(x, w, groups), (x, w), direction))
    return f"{1e3 * forward:.2f} | {1e3 * both:.2f} | {off:.0e}"


def folded_conv(x: Tensor, w: Tensor, groups: int) -> Tensor:
    """As `lgdnet.models.folded`: (N, T, H, W, C) -> the same, by conv2d on channels-last views."""
    N, T, H, W, _ = x.shape
    flat = x.flatten(0, 1) if w.shape[2] == 1 else x.flatten(2, 3)
    padding = (1, 1) if w.shape[2] == 1 else (1, 0)
    kernel = w.flatten(2, 3) if w.shape[2] == 1 else w.flatten(3)
    y = F.conv2d(flat.movedim(-1, 1), kernel, padding=padding, groups=groups).movedim(1, -1)
    return y.reshape(N, T, H, W, -1)


def plain_conv(x: Tensor, w: Tensor, groups: int) -> Tensor:
    padding = tuple(k // 2 for k in w.shape[2:])
    return F.conv3d(x.movedim(-1, 1), w, padding=padding, groups=groups).movedim(1, -1)


def shifts(x: Tensor, w: Tensor, groups: int) -> Tensor:
    """A depthwise kernel as a weighted sum of shifted clips; no multiplication of matrices."""
    _, T, H, W, _ = x.shape
    t, h, v = w.shape[2:]
    x = F.pad(x, (0, 0, v // 2, v // 2, h // 2, h // 2, t // 2, t // 2))
    y = None
    for i in range(t):
        for j in range(h):
            for k in range(v):
                term = x[:, i : i + T, j : j + H, k : k + W] * w[:, 0, i, j, k]
                y = term if y is None else y + term
    return y


if __name__ == "__main__":
    main()
