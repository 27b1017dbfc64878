"""`lgdnet sample`: the embedded challenge as real files: mp4 videos with sound and Kinetics-style lists."""

import csv
import io
import string
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from lgdnet.artefact import atomic, write_text
from lgdnet.log import progress, say
from lgdnet.sample import CLASSES, FPS, NUM_FRAMES, render_video

VIDEOS_PER_CLASS = {"train": 20, "validation": 10, "test": 5}
SHORT_NUM_FRAMES = 10  # less than one 16-frame clip
# What is wrong with the first videos of a split, one fault each; the rest are sound.
FAULTS = {
    "train": ("no sound", "too short for a clip", "truncated", "zero bytes"),
    "validation": ("no sound", "too short for a clip", "truncated"),
    "test": ("no sound", "zero bytes"),
}
ALPHABET = string.ascii_letters + string.digits + "-_"


@dataclass(frozen=True)
class Video:
    """One line of the list and the file it stands for."""

    label: str
    youtube_id: str
    start_sec: int
    split: str
    fault: str | None
    seed: tuple[int, ...]

    @property
    def num_frames(self) -> int:
        return SHORT_NUM_FRAMES if self.fault == "too short for a clip" else NUM_FRAMES

    @property
    def end_sec(self) -> int:
        return self.start_sec + NUM_FRAMES // FPS

    def path(self, out: Path) -> Path:
        """Zero-padded times in the file name, as Kinetics' own tools write them."""
        return out / "videos" / self.split / f"{self.youtube_id}_{self.start_sec:06d}_{self.end_sec:06d}.mp4"


def run(
    out: Path, *, seed: int = 0, videos_per_class: dict[str, int] | None = None, num_workers: int = 2
) -> None:
    """Write `videos/{split}/*.mp4` and `{split}.csv` under `out`. Finished videos of an earlier run stay."""
    videos = plan(seed, videos_per_class or VIDEOS_PER_CLASS)
    missing = [video for video in videos if not video.path(out).exists()]
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
        jobs = pool.map(make, missing, [out] * len(missing), chunksize=8)
        done = len(videos) - len(missing)
        for _ in progress(jobs, what="sample", total=len(videos), done=done, unit="videos"):
            pass
    for split in dict.fromkeys(video.split for video in videos):
        rows = [video for video in videos if video.split == split]
        write_text(out / f"{split}.csv", list_of(rows, labelled=split != "test"))
        say(f"wrote {out / f'{split}.csv'}: {len(rows)} videos of {len(CLASSES)} classes")


def plan(seed: int, videos_per_class: dict[str, int]) -> list[Video]:
    """Every video of the challenge, in a fixed order. The same seed gives the same list."""
    videos = []
    for split_index, (split, count) in enumerate(videos_per_class.items()):
        labels = [label for _ in range(count) for label in CLASSES]
        for index, label in enumerate(labels):
            generator = np.random.default_rng((seed, split_index, index))
            youtube_id = "".join(generator.choice(list(ALPHABET), 11))
            start_sec = int(generator.integers(0, 200))
            fault = dict(enumerate(FAULTS[split])).get(index)
            videos.append(Video(label, youtube_id, start_sec, split, fault, (seed, split_index, index, 1)))
    return videos


def make(video: Video, out: Path) -> None:
    """Render one video and, where that is its part, damage it."""
    with atomic(video.path(out)) as tmp:
        # PyAV takes the container from the file name's ending.
        whole = tmp.with_suffix(".mp4")
        sound = video.fault != "no sound"
        render_video(
            whole, video.label, np.random.default_rng(video.seed), sound=sound, num_frames=video.num_frames
        )
        content = whole.read_bytes()
        whole.unlink()
        kept = {"zero bytes": 0, "truncated": len(content) // 2}.get(video.fault or "", len(content))
        tmp.write_bytes(content[:kept])


def list_of(videos: list[Video], *, labelled: bool) -> str:
    """Kinetics CSV: label, youtube_id, time_start, time_end, split; the test list has no label."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["label"] * labelled + ["youtube_id", "time_start", "time_end", "split"]
    writer.writerow(names)
    for video in videos:
        split = {"validation": "validate"}.get(video.split, video.split)
        writer.writerow([video.label] * labelled + [video.youtube_id, video.start_sec, video.end_sec, split])
    return text.getvalue()
