"""The settings of a whole challenge: one frozen tree, checked while `config.yaml` is read.

No torch and no numpy here: the Snakefile of every cluster job loads this module.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from lgdnet.errors import InputError

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Split = Literal["train", "validation", "test"]
S = TypeVar("S", bound="Settings")


class SettingsError(InputError):
    """A setting that is unknown, missing or out of range, named by its path in the file."""


class Settings(BaseModel):
    """Frozen, and strict about names: an unknown key is an error, never a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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


class ShardSettings(Settings):
    """How many jobs the work on each split is cut into. A job is a shard, never a video."""

    train: PositiveInt = 1
    validation: PositiveInt = 1
    test: PositiveInt = 1


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
    """Probability of a left-right mirror; horizontal flow changes its sign. 0 where direction is the label."""


class TrainSettings(Settings):
    """One training run (SPEC: SGD with Nesterov momentum, cosine schedule, one warm-up epoch)."""

    epochs: PositiveFloat = 40
    batch_size: PositiveInt = 256
    """Clips per optimiser step, over all processes."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: PositiveFloat = 0.16
    """Peak rate at `batch_size`."""
    momentum: Fraction = 0.9
    weight_decay: NonNegativeFloat = 2.5e-5
    clip_norm: PositiveFloat | None = 10.0
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 1
    label_smoothing: Fraction = 0.0
    dropout: Fraction = 0.5
    clips_per_video: PositiveInt = 1
    """Random clips drawn from each video in an epoch."""
    validate_every_epochs: PositiveInt = 1
    checkpoint_every_minutes: PositiveFloat = 10
    seed: NonNegativeInt = 0
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
    backbone: str = "lgd-p3d-resnet101"
    """A name that `lgdnet models` lists."""
    order: Literal["paper", "release"] = "paper"
    """Which of the two paths of an LGD block is updated first."""
    head: Literal["local", "global", "sum", "concat", "kernel"] = "sum"
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
    aggregate: tuple[Literal["average_pool"], ...] = ("average_pool",)
    """How the views of a video become one score; each is a row of the leaderboard."""


class EvaluateSettings(Settings):
    """What the leaderboard is computed on."""

    split: Split = "validation"


class Challenge(Settings):
    """Everything in `config.yaml`."""

    challenge: Name
    """Name of the challenge; all it makes lies under `results/<name>/`."""
    data_root: Path = Path(".")
    """Where relative paths of the data set start."""
    dataset: DatasetSettings
    manifest: ManifestSettings = ManifestSettings()
    shards: ShardSettings = ShardSettings()
    stream_defaults: StreamSettings = StreamSettings()
    """What every stream has unless it says otherwise."""
    streams: dict[Name, StreamSettings]
    """The networks of this challenge, by name."""
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="after")
    def references_exist(self) -> "Challenge":
        """`init` names a stream, and no chain of them comes back to its start."""
        for name, stream in self.streams.items():
            seen = [name]
            while stream.init is not None:
                if stream.init not in self.streams:
                    raise ValueError(f"streams.{name}: init: no stream is called {stream.init!r}{nearest(stream.init, self.streams)}")
                if stream.init in seen:
                    raise ValueError(f"streams.{name}: init: a circle of streams, {' <- '.join([*seen, stream.init])}")
                seen.append(stream.init)
                stream = self.streams[stream.init]
        if self.evaluate.split not in self.dataset.annotations:
            raise ValueError(f"evaluate: split: {self.evaluate.split!r} has no entry under dataset: annotations")
        if "train" not in self.dataset.annotations:
            raise ValueError("dataset: annotations: no entry for 'train'")
        return self

    def data_path(self, path: Path) -> Path:
        """A path of the data set, from `data_root` unless absolute."""
        return self.data_root / path


TRAIN_KEYS = tuple(name for name in StreamSettings.model_fields if name not in ("dump", "aggregate"))


def changed(settings: Settings, keys: tuple[str, ...] | None = None) -> str:
    """JSON of the values that differ from their defaults, of all keys or of some.

    This is what a rule hands to its stage and what Snakemake compares: a comment, a new field or a default
    written out changes nothing; a changed value reruns exactly the stages that are handed it.
    """
    values = settings.model_dump(mode="json", exclude_defaults=True, include=set(keys) if keys else None)
    return json.dumps(values, sort_keys=True)


def parse(model: type[S], text: str) -> S:
    """Settings of a stage from the JSON of its `--settings` option."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--settings: not JSON ({error}): {text!r}") from None
    return check(model, values, source="--settings")


def read_challenge(path: Path) -> Challenge:
    """A challenge from a YAML file."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file. Name a challenge file, such as config.yaml.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return challenge_of(values, source=str(path))


def challenge_of(values: Any, *, source: str) -> Challenge:
    """A challenge from parsed YAML; `stream_defaults` are filled into every stream.

    Raises SettingsError with one line per fault, each with the path of the key and its nearest neighbour.
    """
    if isinstance(values, Mapping) and isinstance(values.get("streams"), Mapping):
        defaults = values.get("stream_defaults") or {}
        streams = {name: merged(defaults, own or {}) for name, own in values["streams"].items()}
        values = {**values, "streams": streams}
    return check(Challenge, values, source=source)


def merged(defaults: Any, own: Any) -> Any:
    """`own` over `defaults`, mapping by mapping; anything but a mapping is replaced whole."""
    if not (isinstance(defaults, Mapping) and isinstance(own, Mapping)):
        return own
    return {key: merged(defaults.get(key), own[key]) if key in own else defaults[key] for key in {**defaults, **own}}


def check(model: type[S], values: Any, *, source: str) -> S:
    """Validate, or raise SettingsError in plain words."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"{source}: {describe(fault, model)}" for fault in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def describe(fault: Mapping[str, Any], model: type[Settings]) -> str:
    """One fault of pydantic's list as `streams.frame16: dump: unknown key 'num_crop'; did you mean 'num_crops'?`"""
    *parents, key = fault["loc"] or ("",)
    where = "".join(f"{part}: " for part in join_names(parents))
    if fault["type"] == "extra_forbidden":
        return f"{where}unknown key {key!r}{nearest(str(key), fields_at(model, parents))}"
    if fault["type"] == "missing":
        return f"{where}missing key {key!r}"
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    where = "".join(f"{part}: " for part in join_names(fault["loc"]))
    shown = "" if isinstance(fault.get("input"), Mapping) else f" (it is {fault.get('input')!r})"
    return f"{where}{message[0].lower()}{message[1:]}{shown}"


def join_names(parts: Any) -> list[str]:
    """`streams`, `frame16`, `dump` as `streams.frame16`, `dump`: the name of a stream belongs to its table."""
    names = [str(part) for part in parts if part != "[key]"]
    if len(names) >= 2 and names[0] in ("streams", "fusions"):
        names[:2] = [f"{names[0]}.{names[1]}"]
    return names


def fields_at(model: type[Settings], parents: list[Any]) -> list[str]:
    """The key names allowed at a path, to find the nearest neighbour of a misspelt one."""
    current: Any = model
    for part in parents:
        if isinstance(current, type) and issubclass(current, Settings) and part in current.model_fields:
            current = current.model_fields[part].annotation
        else:  # the name of a stream in dict[Name, StreamSettings]
            current = getattr(current, "__args__", (None,))[-1]
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, Settings) else []


def nearest(word: str, words: Any) -> str:
    """`; did you mean 'num_crops'?`, or what there is to choose from."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(words))}" if words else ""


def json_schema() -> str:
    """JSON schema of `config.yaml`, for editors that complete and check while one types."""
    schema = Challenge.model_json_schema()
    schema["title"] = "lgdnet challenge"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
