"""Optical flow: pairs per second and error, ours beside OpenCV's, in one run.

    python benchmarks/flow.py                      this machine, pictures made on the spot
    python benchmarks/flow.py --truth FOLDER       errors on ground truth: X-img0.ppm, X-img1.ppm, X-gt.flo,
                                                   and how unlike the flow of the mirrored pairs is
    python benchmarks/flow.py --storage VIDEO ...  bytes, reading time and error of ways to store a field

Every algorithm works on the same pairs; runs of different algorithms take turns, and the best of each counts.
`two cores` is two processes of one thread each. Times are processor times: on an idle machine they are what the
clock says, and on a shared one they leave out the waiting for a core.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

from lgdnet.flow import compute_flow, compute_pairs, dequantise, quantise
from lgdnet.flow.middlebury import end_point_error, read_flo
from lgdnet.flow.parameters import TVL1Parameters

HEIGHT, WIDTH = 256, 340
EQUAL = {"num_medians": 1, "epsilon": 0.0}  # OpenCV's TV-L1 with our number of iterations and no early stop

# name -> algorithm, parameters, pairs per run
CONTESTANTS: dict[str, tuple[str, dict, int]] = {
    "tvl1 (ours)": ("tvl1", {}, 8),
    "DualTVL1, equal settings": ("dual_tvl1", EQUAL, 2),
    "DualTVL1, its defaults": ("dual_tvl1", {}, 2),
    "DIS medium": ("dis", {"preset": "medium"}, 8),
    "DIS fast": ("dis", {"preset": "fast"}, 8),
    "DIS ultrafast": ("dis", {"preset": "ultrafast"}, 8),
    "Farneback": ("farneback", {}, 8),
}


def made_pairs(pixels: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Textured pictures under a smooth warp: first (N, H, W), second (N, H, W) uint8, flow (N, 2, H, W)"""
    first, second, flows = [], [], []
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for seed in range(count):
        generator = np.random.default_rng(seed)
        picture = sum(
            cv2.GaussianBlur(generator.random((HEIGHT, WIDTH)).astype(np.float32), (0, 0), sigma) * sigma
            for sigma in (1, 3, 9)
        )
        picture = (picture - picture.min()) / np.ptp(picture) * 255
        phase = generator.uniform(0, 2 * np.pi, 2)
        flow = pixels * np.stack((np.sin(y / 40 + phase[0]), np.sin(x / 50 + phase[1]))).astype(np.float32)
        first.append(
            cv2.remap(picture, x + flow[0], y + flow[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        )
        second.append(picture)
        flows.append(flow)
    grey = [np.rint(np.stack(pictures)).clip(0, 255).astype(np.uint8) for pictures in (first, second)]
    return grey[0], grey[1], np.stack(flows)


def seconds(
    work: Callable[..., object], *arguments: object, clock: Callable[[], float] = time.process_time
) -> float:
    start = clock()
    work(*arguments)
    return clock() - start


def run(name: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One contestant on all pairs."""
    algorithm, parameters, _ = CONTESTANTS[name]
    return compute_pairs(algorithm, first, second, parameters=parameters)


def one_core(names: Sequence[str], rounds: int) -> dict[str, float]:
    """Seconds per pair of each contestant, taking turns; the best of `rounds`."""
    first, second, _ = made_pairs(3, 8)
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name in names:
            n = CONTESTANTS[name][2]
            taken = seconds(run, name, first[:n], second[:n]) / n
            best[name] = min(taken, best.get(name, np.inf))
    return best


def worker(name: str, start: "multiprocessing.synchronize.Barrier", results: "multiprocessing.Queue") -> None:
    """One of two processes that start together; the second of two runs counts, the first warms up."""
    import torch

    torch.set_num_threads(1)
    first, second, _ = made_pairs(3, 8)
    n = CONTESTANTS[name][2]
    run(name, first[:1], second[:1])
    run(name, first[:n], second[:n])
    start.wait()
    results.put(seconds(run, name, first[:n], second[:n]) / n)


def two_cores(name: str) -> float:
    """Seconds per pair of two processes together."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=worker, args=(name, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    taken = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return 1 / sum(1 / t for t in taken)


def ground_truth(folder: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs with their true flow: (H, W) uint8 twice, (2, H, W)"""
    pairs = []
    for truth in sorted(folder.glob("*-gt.flo")):
        stem = truth.name.removesuffix("-gt.flo")
        pictures = [cv2.imread(str(folder / f"{stem}-img{i}.ppm"), cv2.IMREAD_GRAYSCALE) for i in (0, 1)]
        pairs.append((*pictures, read_flo(truth)))
    return pairs


def errors_on_truth(folder: Path) -> None:
    """Mean end-point error of each algorithm on each pair."""
    pairs = ground_truth(folder)
    print(f"\nEnd-point error in pixels on {len(pairs)} pairs of {folder.name}, and their mean")
    rows = {"no motion at all": [end_point_error(np.zeros_like(t), t) for _, _, t in pairs]}
    for name in CONTESTANTS:
        rows[name] = [end_point_error(run(name, a[None], b[None])[0], truth) for a, b, truth in pairs]
    for name, errors in rows.items():
        print(
            f"{name:26s} " + " ".join(f"{error:6.3f}" for error in errors) + f"  mean {np.mean(errors):6.3f}"
        )
    ours = np.mean(rows["tvl1 (ours)"])
    for name in ("DualTVL1, equal settings", "DualTVL1, its defaults"):
        print(f"ours / {name}: {ours / np.mean(rows[name]):.3f}")


def symmetry_on_truth(folder: Path) -> None:
    """How far the flow of a mirrored pair is from the mirrored flow with x negated, pixels."""
    pairs = ground_truth(folder)
    print("\nFlow of the mirrored pair against the mirrored flow, pixels: mean, and median of each pair")
    for name in CONTESTANTS:
        differences = []
        for a, b, _ in pairs:
            mirrored = run(name, a[None, :, ::-1], b[None, :, ::-1])[0, :, :, ::-1] * [[[-1]], [[1]]]
            differences.append(np.linalg.norm(mirrored - run(name, a[None], b[None])[0], axis=0))
        medians = " ".join(f"{np.median(d):6.3f}" for d in differences)
        print(f"{name:26s} mean {np.mean(differences):6.3f}  medians {medians}")


def speed(rounds: int) -> None:
    """Pairs per second beside the error on made pairs."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    first, second, _ = made_pairs(3, 8)
    warm_up = seconds(run, "tvl1 (ours)", first, second, clock=time.perf_counter)
    print(f"compiling tvl1, or finding it in the cache: {warm_up:.1f} s")
    single = one_core(list(CONTESTANTS), rounds)
    print(f"\n{WIDTH}x{HEIGHT}, pairs per second, and end-point error on smooth warps of 3 and 10 pixels")
    print(f"{'':26s} {'one core':>9s} {'two cores':>10s} {'3 px':>7s} {'10 px':>7s}")
    for name in CONTESTANTS:
        errors = []
        for pixels in (3, 10):
            a, b, truth = made_pairs(pixels, 2)
            errors.append(end_point_error(run(name, a, b), truth))
        both = 1 / two_cores(name)
        print(
            f"{name:26s} {1 / single[name]:9.2f} {both:10.2f} {errors[0]:7.3f} {errors[1]:7.3f}", flush=True
        )
    for name in ("DualTVL1, equal settings", "DualTVL1, its defaults"):
        print(f"ours is {single[name] / single['tvl1 (ours)']:.1f} times as fast as {name}")


def speed_on_gpu(batch: int) -> None:
    """Batched and compiled on the first GPU, with memory traffic as a share of what a copy reaches."""
    import torch

    from lgdnet.flow.tvl1 import tvl1

    a, b, _ = made_pairs(3, 8)
    repeats = -(-batch // 8)
    first, second = (torch.from_numpy(x).repeat(repeats, 1, 1)[:batch].cuda() for x in (a, b))
    tvl1(first, second)
    torch.cuda.synchronize()

    def once() -> None:
        tvl1(first, second)
        torch.cuda.synchronize()

    taken = min(seconds(once, clock=time.perf_counter) for _ in range(3))
    p = TVL1Parameters()
    pixels = sum(HEIGHT * WIDTH * p.scale_step ** (2 * s) for s in range(p.num_scales))
    steps = p.num_warps * p.num_medians * p.num_iterations
    traffic = batch * pixels * steps * 22 * 4  # reads and writes of the two updates, float32 each
    big = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(big)

    def copy() -> None:
        target.copy_(big)
        torch.cuda.synchronize()

    copy()
    bandwidth = 2 * big.numel() / min(seconds(copy, clock=time.perf_counter) for _ in range(5))
    print(
        f"\n{torch.cuda.get_device_name()}, batches of {batch}: {batch / taken:.0f} pairs per second; the two "
        f"updates move {traffic / taken / 1e9:.0f} GB/s, {traffic / taken / bandwidth:.0%} of a copy's {bandwidth / 1e9:.0f}"
    )


# --- storage ------------------------------------------------------------------------------------------------


def opencv_codec(suffix: str, *options: int) -> tuple[Callable, Callable]:
    """Encode (2H, W) uint8 to bytes, and back."""
    return (
        lambda grey: cv2.imencode(suffix, grey, list(options))[1].tobytes(),
        lambda content, shape: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE),
    )


CODECS: dict[str, tuple[Callable, Callable]] = {
    **{f"JPEG {q}": opencv_codec(".jpg", cv2.IMWRITE_JPEG_QUALITY, q) for q in (80, 90, 95)},
    "PNG": opencv_codec(".png", cv2.IMWRITE_PNG_COMPRESSION, 3),
    "WebP 90": opencv_codec(".webp", cv2.IMWRITE_WEBP_QUALITY, 90),
    "raw": (
        lambda grey: grey.tobytes(),
        lambda content, shape: np.frombuffer(content, np.uint8).reshape(shape),
    ),
}


def storage(videos: Sequence[Path], bound: float, short_side: int) -> None:
    """Real fields through each codec; the error is against the field before 8 bit."""
    from lgdnet.video import iterate_frames

    flows = []
    for video in videos:
        frames = [
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            for frame, _ in zip(iterate_frames(video, short_side=short_side), range(60), strict=False)
        ]
        flows.append(compute_flow("dis", np.stack(frames)))
    fields = [field for flow in flows for field in flow]
    print(
        f"\n{len(fields)} fields of {', '.join(video.name for video in videos)}; short side {short_side}, bound {bound:g}: per field"
    )
    print(f"{'':12s} {'bytes':>8s} {'write ms':>9s} {'read ms':>8s} {'error px':>9s} {'at rest px':>10s}")
    usual = [np.rint((f.clip(-bound, bound) + bound) * 255 / (2 * bound)).astype(np.uint8) for f in fields]
    back = [u.astype(np.float32) * (2 * bound) / 255 - bound for u in usual]
    print_row("usual 8 bit", None, None, None, fields, back, bound)
    levels = [quantise(field, bound) for field in fields]
    print_row("ours, 8 bit", None, None, None, fields, [dequantise(q, bound) for q in levels], bound)
    for name, (encode, decode) in CODECS.items():
        planes = [q.reshape(-1, q.shape[-1]) for q in levels]
        start = time.process_time()
        contents = [encode(plane) for plane in planes]
        written = time.process_time()
        pictures = [decode(content, plane.shape) for content, plane in zip(contents, planes, strict=True)]
        read = time.process_time()
        back = [dequantise(p.reshape(q.shape), bound) for p, q in zip(pictures, levels, strict=True)]
        size = float(np.mean([len(content) for content in contents]))
        spent = ((written - start) / len(fields), (read - written) / len(fields))
        print_row(name, size, *spent, fields, back, bound)


def print_row(
    name: str,
    size: float | None,
    write: float | None,
    read: float | None,
    fields: Sequence[np.ndarray],
    back: Sequence[np.ndarray],
    bound: float,
) -> None:
    error = np.mean([np.abs(f.clip(-bound, bound) - b).mean() for f, b in zip(fields, back, strict=True)])
    still = [np.abs(b[np.abs(f) < 0.01]) for f, b in zip(fields, back, strict=True)]
    rest = np.concatenate(still).mean()
    cells = [f"{size:8.0f}" if size else " " * 8]
    cells += [f"{1e3 * t:9.2f}" if t else " " * 9 for t in (write, read)]
    print(f"{name:12s} {cells[0]} {cells[1]} {cells[2][1:]} {error:9.3f} {rest:10.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--truth", type=Path, help="folder of ground-truth pairs")
    parser.add_argument("--storage", type=Path, nargs="+", default=[], help="videos for the storage table")
    parser.add_argument("--bound", type=float, default=20.0)
    parser.add_argument("--short-side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu-batch", type=int, default=256, help="pairs at once on a GPU")
    parser.add_argument("--no-speed", action="store_true")
    arguments = parser.parse_args()
    if arguments.truth:
        errors_on_truth(arguments.truth)
        symmetry_on_truth(arguments.truth)
    if arguments.storage:
        storage(arguments.storage, arguments.bound, arguments.short_side)
    if not arguments.no_speed:
        import torch

        speed(arguments.rounds)
        if torch.cuda.is_available():
            speed_on_gpu(arguments.gpu_batch)


if __name__ == "__main__":
    main()
