"""The tree of `config.yaml`, block by block."""

from pathlib import Path
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from lgdnet.settings.base import Fraction, Name, Settings, Split, nearest
from lgdnet.settings.ensemble import (
    Aggregation,
    AggregationSettings,
    EvaluateSettings,
    FusionSettings,
    JointSettings,
    OutsideSettings,
    check_members,
)


class DatasetSettings(Settings):
    """Which videos, and what they show."""

    format: Literal["kinetics-csv", "csv", "folders"] = "kinetics-csv"
    """How the annotations are written."""
    video_root: Path = Path("videos")
    """Folder of the video files; relative to `data_root`."""
    annotations: dict[Split, Path] = {}
    """Annotation file of each split; relative to `data_root`. The test split may be without labels."""
    classes: Path | None = None
    """Class list, one name per line in index order; without it, the sorted labels of the training split."""
    splits: dict[Split, str] = {}
    """What the annotation file calls a split, where it uses another name: `validation: test`."""
    select: str | None = None
    """Only the rows whose path matches this pattern: `birds/*.mp4` (format `csv`)."""
    ignore_columns: tuple[str, ...] = ()
    """Columns of the annotation file that are not ours and may stay unread (format `csv`)."""


class ManifestSettings(Settings):
    """How videos are checked before anything else runs."""

    probe_timeout_sec: PositiveFloat = 60.0
    """A file that takes longer than this to check is rejected as undecodable."""
    min_frames: PositiveInt = 1
    """A video with fewer frames is rejected as too short."""
    max_rejected: Fraction = 0.1
    """Share of rejected videos of any split above which the workflow stops."""
    allow_duplicates: bool = False
    """Accept the same file content in the training and the validation split."""


class NoiseSettings(Settings):
    """White noise that makes the sound of every video harder, for experiments."""

    snr_db: float = 0.0
    """Decibels by which the sound, over a whole video, is stronger than the noise; may be negative."""
    seed: NonNegativeInt = 0
    """The noise of a video follows from this and its id."""


class AudioSettings(Settings):
    """How sound becomes log-mel frames: 16 kHz, windows of 25 ms every 10 ms, 128 bins from 60 to 7800 Hz."""

    noise: NoiseSettings | None = None
    timeout_sec: PositiveFloat = 600.0
    """The sound of a file that takes longer than this to decode is an error that names it."""


class ShardSettings(Settings):
    """How many jobs the work on each split is cut into. A job is a shard, never a video."""

    train: PositiveInt = 1
    """Jobs for the training split."""
    validation: PositiveInt = 1
    """Jobs for the validation split."""
    test: PositiveInt = 1
    """Jobs for the test split."""


class WeightsSettings(Settings):
    """Weights to start from, read from a local file."""

    path: Path
    """A state dict: safetensors, or a torch file that loads with `weights_only`."""
    layout: Literal["torchvision", "timm", "release", "lgdnet"] = "torchvision"
    """Whose names the file uses."""
    sha256: str | None = None
    """Expected digest of the file."""


class AugmentSettings(Settings):
    """Random changes of a training clip; the same for all its frames."""

    area: tuple[Fraction, Fraction] = (0.2, 1.0)
    """Share of the frame's area that a random crop covers."""
    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = (0.75, 4 / 3)
    """Width over height of the random crop before it is resized."""
    mirror: Fraction = 0.5
    """Probability of a left-right mirror; flow's x changes its sign. 0 where direction is the label."""


class TrainSettings(Settings):
    """One training run (SPEC: SGD with Nesterov momentum, cosine schedule, one warm-up epoch)."""

    epochs: PositiveFloat = 40
    """Passes over the training split."""
    batch_size: PositiveInt = 256
    """Clips per optimiser step, over all processes."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum, or AdamW."""
    learning_rate: PositiveFloat = 0.16
    """Peak rate at `batch_size`."""
    momentum: Fraction = 0.9
    """Of SGD."""
    weight_decay: NonNegativeFloat = 2.5e-5
    """L2 penalty per step."""
    clip_norm: PositiveFloat | None = 10.0
    """Largest norm of the gradient; empty for no limit."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup_epochs: NonNegativeFloat = 1
    """The learning rate rises linearly for so long."""
    label_smoothing: Fraction = 0.0
    """Share of the target that goes to the other classes."""
    dropout: Fraction = 0.5
    """Before the classifiers."""
    clips_per_video: PositiveInt = 1
    """Random clips drawn from each video in an epoch."""
    validate_every_epochs: PositiveInt = 1
    """How often the validation split is scored while training."""
    checkpoint_every_minutes: PositiveFloat = 10
    """How much work a killed job can lose."""
    seed: NonNegativeInt = 0
    """Of initial weights, order and augmentation."""
    augment: AugmentSettings = AugmentSettings()


class DumpSettings(Settings):
    """Which views of each video go through the finished network."""

    num_clips: PositiveInt = 20
    """Evenly spaced over the video."""
    num_crops: Literal[1, 3] = 1
    """Centre; or left, centre, right."""
    dtype: Literal["float16", "float32"] = "float16"
    """Precision of the stored features; logits are always float32."""


class StreamSettings(Settings):
    """One trained network: a modality, a backbone, a clip shape."""

    modality: Literal["frame", "flow", "audio"] = "frame"
    """What the network sees."""
    backbone: str = "lgd-p3d-resnet101"
    """A name that `lgdnet models` lists."""
    order: Literal["paper", "release"] = "paper"
    """Which of the two paths of an LGD block is updated first."""
    head: Literal["local", "global", "sum", "concat", "kernel"] = "sum"
    """How the local and the global path are classified."""
    width: PositiveInt = 64
    """Channels of the stem; 64 in the papers."""
    clip_length: PositiveInt = 16
    """Frames per clip."""
    frame_stride: PositiveInt = 1
    """Every how many frames of the video one is taken."""
    short_side: PositiveInt = 256
    """Frames are decoded to this short side, pixels."""
    crop: PositiveInt = 224
    """Side of the square that the network sees, pixels."""
    init: Name | None = None
    """Another stream whose weights this one starts from."""
    weights: WeightsSettings | None = None
    train: TrainSettings = TrainSettings()
    dump: DumpSettings = DumpSettings()
    aggregate: tuple[Aggregation, ...] = ("average_pool",)
    """How the views of a video become one score; each is a row of the leaderboard."""
    aggregation: AggregationSettings = AggregationSettings()


class Challenge(Settings):
    """Everything in `config.yaml`."""

    challenge: Name
    """Name of the challenge; all it makes lies under `results/<name>/`."""
    data_root: Path = Path()
    """Where relative paths of the data set start."""
    dataset: DatasetSettings
    manifest: ManifestSettings = ManifestSettings()
    audio: AudioSettings = AudioSettings()
    shards: ShardSettings = ShardSettings()
    stream_defaults: StreamSettings = StreamSettings()
    """What every stream has unless it says otherwise."""
    streams: dict[Name, StreamSettings]
    """The networks of this challenge, by name."""
    joint: dict[Name, JointSettings] = {}
    """Networks over the features of several streams, by name."""
    outside: dict[Name, OutsideSettings] = {}
    """Scores of other tools, by name."""
    fusions: dict[Name, FusionSettings] = {}
    """Weighted means, by name."""
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="after")
    def references_exist(self) -> "Challenge":
        """`init` names a stream, and no chain of them comes back to its start."""
        for name, stream in self.streams.items():
            seen = [name]
            while stream.init is not None:
                if stream.init not in self.streams:
                    raise ValueError(
                        f"streams.{name}: init: no stream is called {stream.init!r}"
                        f"{nearest(stream.init, self.streams)}"
                    )
                if stream.init in seen:
                    raise ValueError(
                        f"streams.{name}: init: a circle of streams, {' <- '.join([*seen, stream.init])}"
                    )
                seen.append(stream.init)
                stream = self.streams[stream.init]
        if self.evaluate.split not in self.dataset.annotations:
            raise ValueError(
                f"evaluate: split: {self.evaluate.split!r} has no entry under dataset: annotations"
            )
        if "train" not in self.dataset.annotations:
            raise ValueError("dataset: annotations: no entry for 'train'")
        return self

    @model_validator(mode="after")
    def members_exist(self) -> "Challenge":
        """Every member of a fusion and every row is made by something."""
        check_members(
            self.joint, self.outside, self.fusions, self.evaluate, list(self.streams), self.scored()
        )
        return self

    def scored(self) -> list[str]:
        """Everything that has scores, in the order of the file: `stream/aggregation`, joint, outside, fusions."""
        streams = [f"{name}/{way}" for name, stream in self.streams.items() for way in stream.aggregate]
        return [*streams, *self.joint, *self.outside, *self.fusions]

    def data_path(self, path: Path) -> Path:
        """A path of the data set, from `data_root` unless absolute."""
        return self.data_root / path


TRAIN_KEYS = tuple(
    name for name in StreamSettings.model_fields if name not in ("dump", "aggregate", "aggregation")
)
