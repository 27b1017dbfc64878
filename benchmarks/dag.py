"""Planning time of the workflow: the number of videos does not matter, because a job is a shard.

    python benchmarks/dag.py [--videos 20000]

Writes annotation files of a made-up challenge, and times `snakemake --dry-run` on it: with the sample's few
shards, with the same shards and a hundredth of the videos, and with one job for every ten videos, as a
workflow with small jobs would have it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=20_000, help="training videos of the large challenge")
    videos = parser.parse_args().videos
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
