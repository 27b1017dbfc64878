"""What the work after the networks costs: reading features, training TCP, searching fusion weights.

    python benchmarks/aggregate.py                    10,000 videos
    python benchmarks/aggregate.py --videos 10000 100000 --folder /scratch

Each case runs in a process of its own, so that its peak memory is its own. Made-up features: 20 clips x 2048 in
float16, logits of 50 classes; made-up scores of 4 streams over 700 classes. One thread unless --threads says more.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUM_CLIPS, WIDTH, NUM_CLASSES = 20, 2048, 50
SCORED_CLASSES, NUM_STREAMS = 700, 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--videos", type=int, nargs="+", default=[10_000])
    options.add_argument("--folder", type=Path, help="where the features go: 1.7 GB for 10,000 videos")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--width", type=int, nargs="+", default=[256, 1024], help="of TCP's trunk")
    options.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    options.add_argument("--case", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.case:
        case = json.loads(chosen.case)
        print(json.dumps(CASES[case.pop("name")](**case)))
        return
    folder = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        for num_videos in chosen.videos:
            for name in chosen.only:
                widths = chosen.width if name == "tcp" else [None]
                for width in widths:
                    show(name, folder, num_videos, chosen.threads, width)
            shutil.rmtree(folder / str(num_videos), ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(name: str, folder: Path, num_videos: int, threads: int, width: int | None) -> None:
    """Run one case in a process of its own and print its lines."""
    case = {"name": name, "folder": str(folder / str(num_videos)), "num_videos": num_videos}
    if width is not None:
        case["width"] = width
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    for what, value in json.loads(done.stdout.splitlines()[-1]).items():
        print(f"{num_videos:>7,} videos  {name:6} {what:58} {value}", flush=True)


def peak_memory() -> str:
    """Of this process: what it allocated and the pages of files it touched."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB peak"


def labels_of(num_videos: int) -> "np.ndarray":
    return np.arange(num_videos) % NUM_CLASSES


def write(folder: str, num_videos: int) -> dict[str, str]:
    """Write the features as the dump stage does, through the journal. Classes differ in one feature's slope."""
    from lgdnet.scores import FeaturesWriter

    generator = np.random.default_rng(0)
    noise = generator.normal(size=(64, NUM_CLIPS, WIDTH)).astype(np.float16)
    logits = generator.normal(size=(64, NUM_CLIPS, NUM_CLASSES)).astype(np.float32)
    ramp = np.linspace(-1, 1, NUM_CLIPS, dtype=np.float16)
    ids = [f"v{i}" for i in range(num_videos)]
    start = time.perf_counter()
    with FeaturesWriter(
        Path(folder) / "0000.h5",
        video_ids=ids,
        num_views=NUM_CLIPS,
        classes=[str(k) for k in range(NUM_CLASSES)],
        provenance={"settings": "{}"},
        checkpoint_digest="made up",
    ) as writer:
        for i, video_id in enumerate(ids):
            features = noise[i % 64].copy()
            features[:, i % NUM_CLASSES] += ramp * 8
            writer.add(video_id, range(NUM_CLIPS), [0] * NUM_CLIPS, features, None, logits[i % 64])
    seconds = time.perf_counter() - start
    (Path(folder) / "manifest.csv").write_text(
        "video_id,class_index\n"
        + "".join(f"{v},{y}\n" for v, y in zip(ids, labels_of(num_videos), strict=True))
    )
    size = (Path(folder) / "0000.h5").stat().st_size / 1e9
    return {"through the journal to HDF5": f"{seconds:.1f} s, {size:.2f} GB, {peak_memory()}"}


def read(folder: str, num_videos: int) -> dict[str, str]:
    """Random videos from the file and from one big array that holds the same in memory."""
    from lgdnet.scores import read_features

    features = read_features([Path(folder) / "0000.h5"])
    rows = np.random.default_rng(1).permutation(num_videos)[:5_000]
    for row in rows[:200]:
        features.read("features_local", int(row))
    start = time.perf_counter()
    total = 0.0
    for row in rows:
        total += float(features.read("features_local", int(row))[0, 0])
    from_file = (time.perf_counter() - start) / len(rows)
    memory = peak_memory()
    held = min(num_videos, 20_000)
    everything = features.read_range("features_local", 0, held)
    start = time.perf_counter()
    for row in rows % held:
        total += float(everything[row].copy()[0, 0])
    from_memory = (time.perf_counter() - start) / len(rows)
    return {
        "one video at random, 20 x 2048 float16, from HDF5": f"{1e6 * from_file:.0f} us, {memory}",
        "the same from one big array in memory": f"{1e6 * from_memory:.0f} us, {peak_memory()}",
        "file / memory": f"{from_file / from_memory:.1f}",
    }


def pool(folder: str, num_videos: int) -> dict[str, str]:
    """The aggregate stage with average pooling."""
    from lgdnet.stages import aggregate

    start = time.perf_counter()
    shard = Path(folder) / "0000.h5"
    aggregate.run([[shard]], Path(folder) / "manifest.csv", Path(folder) / "ap.h5")
    return {
        "average pooling of 20 clips, whole stage": f"{time.perf_counter() - start:.1f} s, {peak_memory()}"
    }


def tcp(folder: str, num_videos: int, width: int) -> dict[str, str]:
    """One epoch of TCP by the fit-aggregator stage, and applying it to every video."""
    from lgdnet.scores import read_scores
    from lgdnet.settings import AggregationSettings
    from lgdnet.stages import aggregate, fit_aggregator

    shard, model = Path(folder) / "0000.h5", Path(folder) / f"tcp{width}.safetensors"
    manifest = Path(folder) / "manifest.csv"
    threads = int(os.environ["OMP_NUM_THREADS"])
    start = time.perf_counter()
    settings = AggregationSettings(width=width, epochs=1)
    fit_aggregator.run([[shard]], manifest, model, method="tcp", settings=settings, threads=threads)
    fitted = time.perf_counter() - start
    fit_memory = peak_memory()
    start = time.perf_counter()
    aggregate.run([[shard]], manifest, Path(folder) / "tcp.h5", method="tcp", model=model, threads=threads)
    applied = time.perf_counter() - start
    right = read_scores(Path(folder) / "tcp.h5").scores.argmax(axis=1) == labels_of(num_videos)
    return {
        f"TCP of width {width}, one epoch": f"{fitted:.1f} s, {fit_memory}; trained top-1 {right.mean():.2f}",
        f"TCP of width {width}, applied": f"{applied:.1f} s, {peak_memory()}",
    }


def fusion(folder: str, num_videos: int) -> dict[str, str]:
    """Cross-fitted search of weights, every method, over four streams of 700 classes."""
    from lgdnet import metrics
    from lgdnet.fusion import METHODS, Fusion, Stream, cross_fit, deal_folds

    generator = np.random.default_rng(0)
    labels = generator.integers(0, SCORED_CLASSES, num_videos)
    present = np.ones(num_videos, bool)
    streams = {}
    for s in range(NUM_STREAMS):
        logits = generator.standard_normal((num_videos, SCORED_CLASSES), dtype=np.float32)
        logits[np.arange(num_videos), labels] += 3 - s / 2
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        streams[f"s{s}"] = Stream(logits, present)
    held = sum(stream.scores.nbytes for stream in streams.values()) / 2**20
    folds = deal_folds(np.arange(num_videos).astype(str), labels)
    found = {"scores of the four streams in memory": f"{held:,.0f} MB"}
    for method in METHODS:
        start = time.perf_counter()
        scores, _, _ = cross_fit(Fusion("x", tuple(streams), method), streams, labels, folds)
        seconds = time.perf_counter() - start
        top1 = metrics.top_k_accuracy(scores, labels, 1)
        found[f"{method}, five folds"] = f"{seconds:.1f} s, {peak_memory()}; top-1 {top1:.3f}"
    return found


CASES = {"write": write, "read": read, "pool": pool, "tcp": tcp, "fusion": fusion}

if __name__ == "__main__":
    import numpy as np

    main()
