"""The tree of `config.yaml`, block by block."""

import math
from pathlib import Path
from typing import Literal

from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from lgdnet.settings.backbones import BACKBONES
from lgdnet.settings.base import Fraction, Name, Settings, Share, Split, nearest
from lgdnet.settings.ensemble import (
    Aggregation,
    AggregationSettings,
    EvaluateSettings,
    FusionSettings,
    JointSettings,
    OutsideSettings,
    check_members,
)
from lgdnet.settings.flow import FlowSettings
from lgdnet.settings.jobs import JobsSettings, ThreadSettings
from lgdnet.settings.media import CacheSettings, MediaSettings
from lgdnet.settings.report import ReportSettings
from lgdnet.settings.sound import AudioSettings, SoundAugmentSettings

BatchNorm = Literal["train", "frozen", "frozen-but-first", "synchronised"]


class DatasetSettings(Settings):
    """Which videos, and what they show."""

    format: Literal[
        "kinetics-csv", "kinetics-json", "ucf101", "hmdb51", "mmaction2", "tsn", "coviar", "csv", "folders"
    ] = "kinetics-csv"
    """How the annotations are written (docs/media.md)."""
    media: Literal["video", "sound"] = "video"
    """What the files are: videos, with or without sound, or nothing but sound (wav, ogg, mp3, ...)."""
    video_root: Path = Path("videos")
    """Folder of the video files; relative to `data_root`."""
    annotations: dict[Split, Path] = {}
    """Annotation file (format `folders` and `hmdb51`: folder) of each split; relative to `data_root`. The test
    split may be without labels. `{fold}` stands for the number of the fold."""
    fold: PositiveInt = 1
    """Which of the official folds of UCF101 (`trainlist0{fold}.txt`) and HMDB51."""
    classes: Path | None = None
    """Class list, one name per line in index order; without it, the list that lies beside the annotations
    of UCF101 and HMDB51, else the sorted labels of the training split."""
    splits: dict[Split, str] = {}
    """What the annotation file calls a split, where it uses another name: `validation: test`."""
    select: str | None = None
    """Only the rows whose path matches this pattern: `birds/*.mp4` (format `csv`)."""
    ignore_columns: tuple[str, ...] = ()
    """Columns of the annotation file that are not ours and may stay unread (format `csv`)."""

    def in_fold(self, path: Path) -> Path:
        """A path with `{fold}` replaced by the number of the fold."""
        return Path(str(path).replace("{fold}", str(self.fold)))


class ManifestSettings(Settings):
    """How videos are checked before anything else runs."""

    jobs: PositiveInt = 1
    """How many jobs the checking is cut into; more than one on a cluster."""
    probe_timeout_sec: PositiveFloat = 60.0
    """A file that takes longer than this to check is rejected as undecodable."""
    min_frames: PositiveInt = 1
    """A video with fewer frames is rejected as too short."""
    max_damaged: Fraction = 0.25
    """Share of damaged frames above which a video is rejected as undecodable."""
    max_pixels: PositiveInt = 8192 * 4352
    """A video with larger pictures is rejected before it is decoded."""
    max_frames: PositiveInt = 500_000
    """A video with more frames is rejected."""
    max_rejected: Fraction = 0.1
    """Share of rejected videos of any split above which the workflow stops."""
    allow_duplicates: bool = False
    """Accept a video id in two splits, and the same file content in training and validation."""
    reader: Literal["auto", "pyav", "decord"] = "auto"
    """`auto` reads a file by seeking where that was found exact; `pyav` always from its start; `decord`
    with decord where that was found exact."""


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
    colour: Fraction = 0.0
    """Strength of colour jitter: brightness, contrast, saturation, and a quarter of it for the hue. 0.4 is usual."""
    grey: Fraction = 0.0
    """Probability of losing the colour."""
    blur: Fraction = 0.0
    """Probability of a Gaussian blur."""
    rand_operations: NonNegativeInt = 0
    """RandAugment: operations per clip; 0 is off."""
    rand_magnitude: NonNegativeFloat = 9.0
    """RandAugment: from 0 to 10."""
    erase: Fraction = 0.0
    """Probability of a window set to the mean."""
    mixup: NonNegativeFloat = 0.0
    """MixUp: alpha of the Beta distribution; 0 is off."""
    cutmix: NonNegativeFloat = 0.0
    """CutMix: alpha of the Beta distribution; 0 is off. With both, each batch gets one of them."""
    sound: SoundAugmentSettings = SoundAugmentSettings()


class LengthSettings(Settings):
    """One part of a run with progressive clip lengths."""

    clip_length: PositiveInt
    """Frames per clip."""
    epochs: PositiveFloat
    """Passes over the training split with clips of this length."""
    batch_norm: BatchNorm = "train"
    """Normalisation during this part."""


class TrainSettings(Settings):
    """One training run: by default SGD with Nesterov momentum, a cosine schedule and one warm-up epoch."""

    epochs: PositiveFloat = 40
    """Passes over the training split."""
    lengths: tuple[LengthSettings, ...] = ()
    """Progressive clip lengths in one run, instead of `epochs` and `batch_norm`: 16, then 32, then 64.
    Each has its own; leave those two out, or make `epochs` the sum."""
    batch_size: PositiveInt = 256
    """Clips per optimiser step, over all processes."""
    accumulate: PositiveInt = 1
    """Each process cuts its part of a batch into so many and adds up their gradients: less memory."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov momentum, or AdamW."""
    learning_rate: PositiveFloat = 0.16
    """Peak rate, for a batch of `rate_batch_size`; it grows and shrinks with the batch."""
    rate_batch_size: PositiveInt | None = None
    """Batch that `learning_rate` is meant for; empty: `batch_size`, so nothing is scaled."""
    momentum: Share = 0.9
    """Of SGD (Nesterov); the first beta of AdamW."""
    weight_decay: NonNegativeFloat = 2.5e-5
    """L2 penalty per step."""
    decay_norm_and_bias: bool = True
    """Decay the weights of normalisation and biases too."""
    clip_norm: PositiveFloat | None = 10.0
    """Largest norm of the gradient; empty for no limit."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    drops: tuple[Fraction, ...] = (0.5, 0.8)
    """Where `step` divides the rate by ten, as shares of what follows the warm-up."""
    warmup_epochs: NonNegativeFloat = 1
    """The learning rate rises linearly for so long."""
    label_smoothing: Share = 0.0
    """Share of the target that goes to the other classes."""
    dropout: Share = 0.5
    """Before the classifiers."""
    batch_norm: BatchNorm = "train"
    """Statistics of the batch; stored ones, all layers or all but the first; of all processes' batches."""
    average_decay: Share | None = None
    """Keep a running average of the weights (0.999, say) and use it in place of the last ones."""
    clips_per_video: PositiveInt = 1
    """Random clips drawn from each video in an epoch."""
    validate_every_epochs: PositiveInt = 1
    """How often the validation split is scored while training."""
    checkpoint_every_minutes: PositiveFloat = 10
    """How much work a killed job can lose."""
    seed: NonNegativeInt = 0
    """Of initial weights, order and augmentation."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the network; auto: bf16 on a GPU that has it, else fp32."""
    compile: bool = False
    """`torch.compile`, block by block: fewer passes over memory on GPUs, after minutes of compiling."""
    channels_last: bool = False
    """Memory layout with channels innermost."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass: about half the memory for a third more time."""
    log_every_steps: PositiveInt = 20
    """Steps between rows of history.csv."""
    max_bad_steps: PositiveInt = 10
    """Stop after so many steps in a row whose loss is not finite; fewer are left out and written down."""
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    """Where curves are drawn beside history.csv; wandb and mlflow must be installed."""
    augment: AugmentSettings = AugmentSettings()

    @model_validator(mode="after")
    def nothing_is_ignored(self) -> "TrainSettings":
        """A key without effect beside another is a misunderstanding; a default is none."""

        def is_set(name: str) -> bool:
            return getattr(self, name) != type(self).model_fields[name].default

        epochs = math.fsum(length.epochs for length in self.lengths) if self.lengths else self.epochs
        if self.lengths and is_set("epochs") and not math.isclose(self.epochs, epochs):
            raise ValueError(
                f"lengths: they have {epochs:g} epochs together, but epochs is {self.epochs:g}; leave it out, "
                "or make it their sum"
            )
        if self.lengths and is_set("batch_norm"):
            raise ValueError("batch_norm: with lengths each of them has its own; set it there")
        if is_set("warmup_epochs") and self.warmup_epochs > epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} are more than all {epochs:g} epochs")
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate: a batch of {self.batch_size} clips cannot be cut into {self.accumulate} parts"
            )
        if is_set("drops") and self.drops and self.schedule != "step":
            raise ValueError(f"drops: schedule {self.schedule} has none; use schedule: step, or drops: []")
        if len(set(self.trackers)) < len(self.trackers):
            raise ValueError("trackers: one stands there twice")
        return self


class DumpSettings(Settings):
    """Which views of each video go through the finished network."""

    num_clips: PositiveInt = 20
    """Evenly spaced over the video."""
    num_crops: Literal[1, 3] = 1
    """Centre; or left, centre, right."""
    training_dumps: PositiveInt = 1
    """Dumps of the training split, each with other clip starts, for learned aggregations."""
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
    sampling: Literal["clip", "segments"] = "clip"
    """Neighbouring frames, or one frame of each of `clip_length` equal parts of the video (TSN; frames only)."""
    segment_sec: PositiveFloat = 2.56
    """Sound around the middle of each clip that the network hears, seconds; only of audio."""
    short_side: PositiveInt = 256
    """Frames are decoded to this short side, pixels."""
    crop: PositiveInt = 224
    """Side of the square that the network sees, pixels."""
    flow_on_the_fly: bool = False
    """Compute flow anew for every clip instead of keeping files of it; for small sets."""
    init: Name | None = None
    """Another stream whose weights this one starts from."""
    weights: WeightsSettings | None = None
    train: TrainSettings = TrainSettings()
    dump: DumpSettings = DumpSettings()
    aggregate: tuple[Aggregation, ...] = ("average_pool",)
    """How the views of a video become one score; each is a row of the leaderboard."""
    aggregation: AggregationSettings = AggregationSettings()

    @model_validator(mode="after")
    def lengths_end_at_the_clip_length(self) -> "StreamSettings":
        """A run in lengths must end with the clips that the stream is dumped with."""
        lengths = self.train.lengths
        if lengths and lengths[-1].clip_length != self.clip_length:
            raise ValueError(
                f"train: lengths: the last one is {lengths[-1].clip_length}, but clip_length is {self.clip_length}"
            )
        return self

    @field_validator("backbone")
    @classmethod
    def backbone_exists(cls, name: str) -> str:
        """A name of the table of networks."""
        if name not in BACKBONES:
            raise ValueError(f"no network is called {name!r}{nearest(name, BACKBONES)}")
        return name


class Challenge(Settings):
    """Everything in `config.yaml`."""

    challenge: Name
    """Name of the challenge; all it makes lies under `results/<name>/`."""
    data_root: Path = Path()
    """Where relative paths of the data set start."""
    dataset: DatasetSettings
    manifest: ManifestSettings = ManifestSettings()
    media: MediaSettings = MediaSettings()
    cache: CacheSettings | None = None
    flow: FlowSettings = FlowSettings()
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
    threads: ThreadSettings = ThreadSettings()
    jobs: JobsSettings = JobsSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()

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
        for name, stream in self.streams.items():
            if self.dataset.media == "sound" and stream.modality != "audio":
                raise ValueError(
                    f"streams.{name}: modality: {stream.modality!r} needs pictures, and dataset.media is 'sound'"
                )
            if stream.modality == "audio" and stream.dump.num_crops != 1:
                raise ValueError(f"streams.{name}: dump: num_crops: sound has nothing to crop; leave it at 1")
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
        """A path of the data set, from `data_root` unless absolute, with the number of the fold filled in."""
        return self.data_root / self.dataset.in_fold(path)


TRAIN_KEYS = tuple(
    name for name in StreamSettings.model_fields if name not in ("dump", "aggregate", "aggregation")
)
# What a dump, and what a learned aggregation depends on: another value reruns just that.
DUMP_KEYS = tuple(name for name in DumpSettings.model_fields if name != "training_dumps")
FIT_KEYS = tuple(name for name in AggregationSettings.model_fields if name != "average")
