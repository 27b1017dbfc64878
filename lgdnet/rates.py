"""How long a job takes and what it writes, before it runs: from what was measured here, else from assumptions."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lgdnet.artefact import write_json
from lgdnet.errors import InputError
from lgdnet.settings import Challenge, StreamSettings

# Assumptions, stated wherever they are used.
FEATURE_WIDTH = 2048  # numbers of each of the two paths of a view
FLOW_FRAMES, FLOW_KB = (
    250,
    5.3,
)  # fields of a video of 10 s; kB of one at a short side of 256 pixels (docs/flow.md)
AUDIO_KB = 256  # log-mel frames of 10 s (docs/audio.md: 92 MB an hour)
MEDIA_MB, CACHE_TIMES = (
    1.5,
    4,
)  # a transcoded video of 10 s at 256 pixels; a frame cache is so many times that
MODEL_GB = 1.0  # a stream with its checkpoints
FORWARD_SHARE = 1 / 3  # of a training step is its forward pass

STAGE_OF_RULE = {"extract_flow": "flow", "audio_shard": "audio", "transcode": "media", "cache_shard": "cache"}


class Hours(NamedTuple):
    """Of one job, and where the number comes from."""

    hours: float
    source: str  # "earlier run", "fit-check", "bench-data", "limit"


@dataclass(frozen=True)
class Feeding:
    """Clips per second as `bench-data` measured them: of one core that reads, and of one device that trains."""

    fed_per_core: float
    trained: float

    @staticmethod
    def path(results: Path, stream: str) -> Path:
        return results / f"streams/{stream}/bench_data.json"

    def write(self, path: Path) -> None:
        write_json(path, vars(self))

    @classmethod
    def read(cls, path: Path) -> "Feeding | None":
        """None where nobody measured. Errors: InputError when the file is not one of ours."""
        try:
            found = cls(**{name: float(value) for name, value in json.loads(path.read_text()).items()})
            if not all(0 < rate < inf for rate in vars(found).values()):
                raise ValueError("its rates are not all above 0")
            return found
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a measurement of bench-data ({error}). Delete it.") from None

    def train_hours(self, stream: StreamSettings, videos: int, *, cores: int, devices: int) -> float:
        """All epochs; a longer clip costs in proportion, and the slower of reading and training counts."""
        train = stream.train
        lengths = [(part.epochs, part.clip_length) for part in train.lengths or ()]
        epochs = sum(n * frames / stream.clip_length for n, frames in lengths) if lengths else train.epochs
        clips = videos * train.clips_per_video * epochs
        return clips / min(self.fed_per_core * cores, self.trained * devices) / 3600

    def dump_hours(self, stream: StreamSettings, videos: float) -> float:
        """Reading and forward passes, one after the other, each clip read for itself: at most that."""
        views = videos * stream.dump.num_clips * stream.dump.num_crops
        return views * (FORWARD_SHARE / self.trained + 1 / self.fed_per_core) / 3600


class Measured:
    """What is on record of a challenge under its results."""

    def __init__(self, challenge: Challenge, folder: Path) -> None:
        self.challenge, self.folder = challenge, folder
        self.counts: dict[str, int] = {}
        self.table = pd.DataFrame(columns=["stage", "stream", "jobs", "wall_hours"])
        if (folder / "cost.csv").exists():
            self.table = earlier_costs(folder / "cost.csv")

    def hours(self, rule: str, wildcards: Mapping[str, str]) -> Hours | None:
        """Of one job, by the best that there is; None where nobody measured."""
        stage, stream = STAGE_OF_RULE.get(rule, rule), wildcards.get("stream", "")
        rows = self.table[(self.table["stage"] == stage) & self.table["stream"].isin([stream, ""])]
        if len(rows):
            return Hours(float(rows["wall_hours"].sum() / rows["jobs"].sum()), "earlier run")
        if stream and rule == "train":
            return self.fit_check(stream) or self.of_reading(rule, wildcards)
        return self.of_reading(rule, wildcards) if stream and rule == "dump" else None

    @property
    def devices(self) -> int:
        """Processes of one training."""
        return max(self.challenge.jobs.train.gpus * self.challenge.jobs.train.nodes, 1)

    def fit_check(self, stream: str) -> Hours | None:
        path = self.folder / f"streams/{stream}/fit_check.txt"
        text = path.read_text(errors="replace") if path.exists() else ""
        if not (found := re.search(r"([\d.e+-]+) hours of training", text)):
            return None
        try:
            return Hours(float(found[1]) / self.devices, "fit-check")
        except ValueError:
            raise InputError(f"{path}: {found[0]!r} is no number of hours. Delete it.") from None

    def of_reading(self, rule: str, wildcards: Mapping[str, str]) -> Hours | None:
        """From clips per second."""
        name = wildcards["stream"]
        feeding, stream = Feeding.read(Feeding.path(self.folder, name)), self.challenge.streams[name]
        if feeding is None:
            return None
        if rule == "train":
            cores, nodes = self.challenge.threads.train, self.challenge.jobs.train.nodes
            videos = self.num_videos("train")
            hours = feeding.train_hours(stream, videos, cores=cores * nodes, devices=self.devices)
        else:
            hours = feeding.dump_hours(stream, self.videos_of_shard(wildcards["split"]))
        return Hours(hours, "bench-data")

    def videos_of_shard(self, split: str) -> float:
        return self.num_videos(split) / getattr(self.challenge.shards, split)

    def num_videos(self, split: str) -> int:
        """Rows of the manifest; before there is one, lines of the annotation file."""
        if split not in self.counts:
            self.counts[split] = self.count(split)
        return self.counts[split]

    def count(self, split: str) -> int:
        path = self.folder / f"manifest/{split}.csv"
        if not path.exists():
            path = self.challenge.data_path(self.challenge.dataset.annotations[split])  # type: ignore[index]
        if not path.is_file():
            return 0
        with path.open("rb") as file:
            return max(sum(1 for _ in file) - 1, 0)

    def disk_gb(self, rule: str, wildcards: Mapping[str, str]) -> float:
        """What a job writes."""
        challenge, split = self.challenge, wildcards.get("split", "")
        if rule == "train":
            return MODEL_GB
        if split not in challenge.dataset.annotations:
            return 0.0
        return self.videos_of_shard(split) * kb_of_video(challenge, rule, wildcards.get("stream", "")) / 1e6


def earlier_costs(path: Path) -> pd.DataFrame:
    """Jobs and hours of every stage and stream of an earlier run. Errors: InputError for what is no cost.csv."""
    try:
        table = pd.read_csv(path, keep_default_na=False)[["stage", "stream", "jobs", "wall_hours"]]
        table = table.astype({"stage": str, "stream": str, "jobs": float, "wall_hours": float})
        if not ((table["jobs"] > 0) & table["wall_hours"].between(0, inf, inclusive="left")).all():
            raise ValueError("jobs or hours below 0")
    except (OSError, ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        raise InputError(
            f"{path}: no table of costs ({error}). Delete it: snakemake makes it again."
        ) from None
    return table


def whole_disk_gb(challenge: Challenge, folder: Path) -> float:
    """What a challenge writes from nothing to its last table, about."""
    measured, gb = Measured(challenge, folder), MODEL_GB * len(challenge.streams)
    for split in challenge.dataset.annotations:
        kb = sum(kb_of_video(challenge, rule, "") for rule in stored_by(challenge))
        kb += sum(kb_of_video(challenge, "dump", name) for name in challenge.streams)
        gb += measured.num_videos(split) * kb / 1e6
    return gb


def stored_by(challenge: Challenge) -> list[str]:
    """Rules that keep something of every video for the streams."""
    streams = challenge.streams.values()
    uses = {
        "transcode": challenge.media.enabled,
        "cache_shard": challenge.cache is not None,
        "extract_flow": any(s.modality == "flow" and not s.flow_on_the_fly for s in streams),
        "audio_shard": any(s.modality == "audio" for s in streams),
    }
    return [rule for rule, used in uses.items() if used]


def kb_of_video(challenge: Challenge, rule: str, stream: str) -> float:
    """What is kept of one video of 10 s, in kB."""
    if rule == "dump":
        dump = challenge.streams[stream].dump
        views = dump.num_clips * dump.num_crops
        return views * 2 * FEATURE_WIDTH * (2 if dump.dtype == "float16" else 4) / 1000
    if rule == "extract_flow":
        return FLOW_FRAMES * FLOW_KB * (challenge.flow.short_side / 256) ** 2
    if rule == "transcode":
        return 1000 * MEDIA_MB * (challenge.media.short_side / 256) ** 2
    if rule == "cache_shard" and challenge.cache is not None:
        return 1000 * MEDIA_MB * CACHE_TIMES * (challenge.cache.short_side / 256) ** 2
    return AUDIO_KB if rule == "audio_shard" else 0.0


def assumptions() -> list[str]:
    """What is said beside the table."""
    return [
        "Hours of a job: of an earlier run (cost.csv); of `lgdnet fit-check`; of the clips per second of",
        f"`lgdnet bench-data`, where a forward pass is {FORWARD_SHARE:.0%} of a training step; else its limit, so at most that.",
        f"Disk, assumed: videos of 10 s; {FEATURE_WIDTH} numbers per path and view; {FLOW_FRAMES} flow fields of {FLOW_KB} kB",
        f"at a short side of 256; {AUDIO_KB} kB of sound; {MEDIA_MB} MB transcoded, {CACHE_TIMES} times that as frames; {MODEL_GB:g} GB per stream.",
    ]
