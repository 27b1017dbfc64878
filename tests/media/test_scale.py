"""What must hold at the size of Kinetics-700: time and memory of the manifest, memory of the reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NUM_VIDEOS = 650_000

MANIFEST = """
import sys, time
from pathlib import Path
from lgdnet.settings import DatasetSettings, ManifestSettings
from lgdnet.stages import manifest as stage
from lgdnet.datasets import probing
from lgdnet.video.probe import Probe
from benchmarks.memory import resident_mib
from dataclasses import asdict

folder = Path(sys.argv[1])
facts = asdict(Probe("ok", num_frames=300, fps=30.0, width=340, height=256, duration_sec=10.0, has_audio=True,
                     backend="seek", codec="h264", pixel_format="yuv420p", has_constant_rate=True, num_bytes=1))
spent = 0.0

def pretend(target, calls, **options):  # the probing itself is not measured
    for i, (path, _) in enumerate(calls):
        yield i, {**facts, "digest": f"{i:064x}"}

probing.killable_map = pretend
dataset = DatasetSettings(format="kinetics-csv", video_root=folder / "videos", annotations={
    s: folder / f"{s}.csv" for s in ("train", "validation", "test")})
start, cpu = time.monotonic(), time.process_time()
stage.run(dataset, ManifestSettings(), Path(), folder / "manifest", num_workers=1)
print(time.monotonic() - start, time.process_time() - cpu, resident_mib("VmHWM") / 1024)
"""


@pytest.mark.long
def test_650_000_videos_become_a_manifest_in_two_gigabytes(tmp_path):
    shares = {"train": 545_000, "validation": 35_000, "test": 70_000}
    number = 0
    for split, count in shares.items():
        lines = [
            "label,youtube_id,time_start,time_end,split"
            if split != "test"
            else "youtube_id,time_start,time_end,split"
        ]
        for i in range(count):
            label, name = f"class {i % 700:03d}", f"{number:011d}"
            folder = tmp_path / "videos" / split / label.replace(" ", "_")
            if i < 700:
                folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(folder / f"{name}_000010_000020.mp4", os.O_CREAT | os.O_WRONLY))
            lines.append(f"{name},10,20,{split}" if split == "test" else f"{label},{name},10,20,{split}")
            number += 1
        (tmp_path / f"{split}.csv").write_text("\n".join(lines) + "\n")
    assert number == NUM_VIDEOS
    done = subprocess.run(
        [sys.executable, "-c", MANIFEST, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    seconds, cpu_seconds, gib = map(float, done.stdout.split())
    print(
        f"\n{NUM_VIDEOS} videos without probing: {seconds:.1f} s, {cpu_seconds:.1f} s of processor, {gib:.2f} GiB"
    )
    assert gib < 2
    with (tmp_path / "manifest/train.csv").open() as file:
        assert sum(1 for _ in file) == shares["train"] + 1


READER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
from containers import CONTAINERS, NUM_FRAMES
from lgdnet.video import VideoError, probe, read_frames

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

folder = Path(sys.argv[1])
names = ["H.264, B-frames, mp4", "H.264, sound, mkv", "MPEG-4, B-frames, avi", "VP9, webm", "H.264, rotated 90, mp4"]
files = [(p, probe(p).backend) for p in (CONTAINERS[n][1](folder / CONTAINERS[n][0]) for n in names)]
broken = folder / "broken.mp4"
broken.write_bytes(files[0][0].read_bytes()[:9000])
generator = np.random.default_rng(0)
for i in range(1, 10_001):
    path, backend = files[i % len(files)]
    start = int(generator.integers(NUM_FRAMES - 4))
    read_frames(path, np.arange(start, start + 4), short_side=int(generator.choice([32, 48])), backend=backend)
    if i % 10 == 0:
        try:
            read_frames(broken, [NUM_FRAMES - 1])
        except VideoError:
            pass
    if i in (1_000, 4_000, 7_000, 10_000):
        print(resident())
"""


@pytest.mark.long
def test_memory_is_flat_from_the_thousandth_to_the_ten_thousandth_clip(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True, text=True, check=True, env=environment(),
    )  # fmt: skip
    resident = [float(line) for line in done.stdout.split()]
    print(
        f"\nresident MiB after 1,000, 4,000, 7,000 and 10,000 clips: {', '.join(f'{r:.1f}' for r in resident)}"
    )
    assert abs(resident[-1] / resident[0] - 1) < 0.05


def environment():
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
