"""Planning time of the workflow: the number of videos does not matter, because a job is a shard.

    python benchmarks/dag.py [--videos 20000]
    python benchmarks/dag.py --kinetics700

Writes annotation files of a made-up challenge, and times `snakemake --dry-run` on it: with the sample's few
shards, with the same shards and a hundredth of the videos, and with one job for every ten videos, as a
workflow with small jobs would have it. With `--kinetics700` it plans `challenges/kinetics700-2019.yaml` on lists of
the true size, 650,000 videos, and prints seconds, memory and jobs.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.memory import used_by  # noqa: E402


def write_challenge(folder: Path, *, num_videos: int, shards: int) -> None:
    """Lists of `num_videos` training videos, and a tenth for validation, with a challenge file."""
    for split, count in (("train", num_videos), ("validation", num_videos // 10)):
        rows = [f"action {i % 50},{i:011d},0,10,{split}" for i in range(count)]
        (folder / f"{split}.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]))
    challenge = {
        "challenge": "planning",
        "dataset": {
            "video_root": "videos",
            "annotations": {"train": "train.csv", "validation": "validation.csv"},
        },
        "shards": {"train": shards, "validation": max(shards // 10, 1)},
        "streams": {"frame16": {}, "flow16": {"modality": "flow"}},
    }
    (folder / "challenge.yaml").write_text(yaml.safe_dump(challenge))


def plan(folder: Path) -> tuple[float, int]:
    """Seconds of a dry run, and the jobs it planned."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run"]
    command += ["--cores", "2", "--directory", str(folder)]
    command += ["--workflow-profile", str(ROOT / "profiles/default")]
    command += ["--configfile", str(folder / "challenge.yaml")]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    seconds = time.perf_counter() - start
    total = re.search(r"^total\s+(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode or not total:
        sys.exit(done.stdout + done.stderr)
    return seconds, int(total[1])


KINETICS700 = {"train": 545_317, "val": 35_000, "test": 70_000}


def plan_kinetics700(folder: Path) -> tuple[float, float, float, int]:
    """Seconds, seconds of the processor, peak memory in MiB and jobs of a dry run at the true size."""
    for split, count in KINETICS700.items():
        header = (
            "youtube_id,time_start,time_end,split"
            if split == "test"
            else "label,youtube_id,time_start,time_end,split"
        )
        label = (lambda i: "") if split == "test" else (lambda i: f"action {i % 700},")
        rows = [f"{label(i)}{split}{i:08d},0,10,{split}" for i in range(count)]
        (folder / f"kinetics700_{split}.csv").write_text("\n".join([header, *rows]) + "\n")
    text = (ROOT / "challenges/kinetics700-2019.yaml").read_text()
    (folder / "challenge.yaml").write_text(text)
    (folder / "weights").mkdir()
    for name in re.findall(r"path: weights/([^,}]+)", text):
        (folder / "weights" / name).touch()
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--dry-run",
        "--quiet",
        "rules",
    ]
    command += ["--cores", "2", "--directory", str(folder), "--configfile", str(folder / "challenge.yaml")]
    command += ["--workflow-profile", str(ROOT / "profiles/default")]
    output = folder / "output"
    with output.open("w") as file:
        used = used_by(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
    total = re.search(r"^total\s+(\d+)$", output.read_text(), re.MULTILINE)
    if used.status or not total:
        sys.exit(output.read_text()[-3000:])
    return used.wall_sec, used.cpu_sec, used.peak_mib, int(total[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=20_000, help="training videos of the large challenge")
    parser.add_argument(
        "--kinetics700", action="store_true", help="plan the whole challenge at its true size"
    )
    given = parser.parse_args()
    if given.kinetics700:
        with tempfile.TemporaryDirectory() as folder:
            seconds_taken, cpu_sec, memory_mib, jobs = plan_kinetics700(Path(folder))
        print(
            f"{sum(KINETICS700.values()):,} videos, {jobs} jobs: {seconds_taken:.1f} s, {cpu_sec:.1f} s of one core, {memory_mib:.0f} MiB"
        )
        return
    videos = given.videos
    cases = [
        ("few videos", videos // 100, 20),
        ("many videos", videos, 20),
        ("job per ten", videos, videos // 10),
    ]
    print(f"{'case':12s} {'videos':>8s} {'jobs':>6s} {'dry run s':>9s}  ratio to many videos")
    seconds = {}
    for name, count, shards in cases:
        with tempfile.TemporaryDirectory() as folder:
            write_challenge(Path(folder), num_videos=count, shards=shards)
            seconds[name], jobs = plan(Path(folder))
            print(f"{name:12s} {count:8d} {jobs:6d} {seconds[name]:9.1f}", flush=True)
    many = seconds["many videos"]
    print(", ".join(f"{name} {value / many:.1f}x" for name, value in seconds.items()))


if __name__ == "__main__":
    main()
