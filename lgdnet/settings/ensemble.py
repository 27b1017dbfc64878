"""Settings of everything after the networks: aggregation, fusion, scores from outside, the leaderboard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lgdnet.settings.base import Fraction, Name, Settings, Split, nearest

Aggregation = Literal["average_pool", "max_pool", "tcp", "attention_pool", "linear"]


class AggregationSettings(Settings):
    """How the views of a video become one score, and the network that learns it from dumped features."""

    average: Literal["scores", "logits"] = "scores"
    """What `average_pool` averages: after softmax as the slides do, or before."""
    features: Literal["local", "global", "both"] = "local"
    """Which path's features a learned aggregation sees."""
    width: PositiveInt = 1024
    """Channels of its trunk."""
    dropout: Fraction = 0.5
    """Before its classifier."""
    epochs: PositiveFloat = 10
    """Passes over the training split."""
    batch_size: PositiveInt = 128
    """Videos per optimiser step (AdamW)."""
    learning_rate: PositiveFloat = 0.001
    """Peak rate; it falls as a cosine after one tenth of the steps."""
    weight_decay: NonNegativeFloat = 0.05
    """Of AdamW, per step and rate."""
    seed: NonNegativeInt = 0
    """Of initial weights, order and draws."""


class JointSettings(AggregationSettings):
    """One network over the aligned clips of several streams (multi-stream TCP)."""

    streams: Annotated[tuple[Name, ...], Field(min_length=2)]
    """Which streams' features it sees."""
    stream_width: PositiveInt = 512
    """Channels of each stream's projection."""
    stream_dropout: Fraction = 0.2
    """Probability that a stream is dropped from a video in training."""
    input: str = "Multi-stream"
    """Column of the leaderboard."""
    backbone: str = "-"
    """Column of the leaderboard."""
    clip: str = "-"
    """Column of the leaderboard."""


class FusionSettings(Settings):
    """A weighted mean of streams, joint networks, outside scores and other fusions."""

    members: Annotated[tuple[str, ...], Field(min_length=1)]
    """`frame16/tcp` for a stream and its aggregation, or the name of a joint network, outside scores, or fusion."""
    method: Literal["given", "convex", "greedy", "stack"] = "given"
    """Weights as written below, or searched on the evaluation split and cross-fitted."""
    weights: tuple[NonNegativeFloat, ...] | None = None
    """One per member, for `method: given`; all equal where empty."""
    of: Literal["scores", "logits"] = "scores"
    """What is averaged; logits make a geometric mean of scores."""
    calibrate: bool = False
    """Bring each member to its best temperature first."""
    input: str = ""
    """Column of the leaderboard; the name of the fusion where empty."""
    backbone: str = "-"
    """Column of the leaderboard."""
    clip: str = "-"
    """Column of the leaderboard."""
    aggregation: str = "-"
    """Column of the leaderboard."""


class ImportSettings(Settings):
    """How a score file of another tool (npz, npy, pkl or csv) is read."""

    kind: Literal["auto", "scores", "logits"] = "auto"
    """Whether softmax was applied; `auto` looks at the sums, and asks where they could mean either."""
    scores_key: str | None = None
    """Name of the array in an npz, or in a dict in a pickle."""
    ids_key: str | None = None
    """Name of the ids there."""
    classes_key: str | None = None
    """Name of the class names there."""
    stem: bool = False
    """Reduce ids like `a/b.avi` to `b`."""
    allow_missing: bool = False
    """Record videos without scores as missing; they count as wrong."""


class OutsideSettings(Settings):
    """Scores of another tool, beside our own."""

    files: dict[Split, Path]
    """Score file of each split; relative to `data_root`."""
    ids: dict[Split, Path] = {}
    """Video ids in the order of the rows, one per line, where the file has none."""
    classes: Path | None = None
    """Class names in the order of the columns, one per line, where the file has none."""
    reading: ImportSettings = ImportSettings()
    input: str = ""
    """Column of the leaderboard; the name where empty."""
    backbone: str = "-"
    """Column of the leaderboard."""
    clip: str = "-"
    """Column of the leaderboard."""
    aggregation: str = "-"
    """Column of the leaderboard."""


class EvaluateSettings(Settings):
    """What the leaderboard is computed on."""

    split: Split = "validation"
    """A labelled split that no network was trained on."""
    num_folds: Annotated[int, Field(ge=2)] = 5
    """Parts of that split for cross-fitting: a video's fused score comes from weights found on the others."""
    seed: NonNegativeInt = 0
    """Deals the videos into folds."""
    rows: tuple[str, ...] = ()
    """Rows of the leaderboard in order, named like members of fusions; everything there is where empty."""
    submit: str = ""
    """The row whose test scores become submission.json; the last fusion, else the last row, where empty."""
    external_data: str = ""
    """What the submission says of data from outside; empty where none was used."""


def check_members(
    joint: Mapping[str, JointSettings],
    outside: Mapping[str, OutsideSettings],
    fusions: Mapping[str, FusionSettings],
    evaluate: EvaluateSettings,
    streams: Sequence[str],
    scored: Sequence[str],
) -> None:
    """A ValueError where a member or row is made by nothing, or a name stands for two things.

    `scored` is everything that has scores: streams with their aggregation, joint, outside and fusions.
    """
    for name, settings in joint.items():
        for stream in settings.streams:
            if stream not in streams:
                raise ValueError(
                    f"joint.{name}: streams: no stream is called {stream!r}{nearest(stream, streams)}"
                )
    taken = [*joint, *outside, *fusions]
    twice = [name for name in taken if taken.count(name) > 1]
    if twice:
        raise ValueError(
            f"{twice[0]!r} names two of joint, outside and fusions; rows need names of their own"
        )
    for name, fusion in fusions.items():
        check_fusion(name, fusion, scored)
        check_circle(name, fusions, [name])
    for key, rows in (("rows", evaluate.rows), ("submit", (evaluate.submit,) if evaluate.submit else ())):
        for row in rows:
            if row not in scored:
                raise ValueError(f"evaluate: {key}: nothing is called {row!r}{nearest(row, scored)}")


def check_fusion(name: str, fusion: FusionSettings, scored: Sequence[str]) -> None:
    for member in fusion.members:
        if member not in scored:
            raise ValueError(
                f"fusions.{name}: members: nothing is called {member!r}{nearest(member, scored)}"
            )
    weights = fusion.weights
    if weights is None:
        return
    if fusion.method != "given":
        raise ValueError(f"fusions.{name}: weights: only with method 'given', not {fusion.method!r}")
    if len(weights) != len(fusion.members):
        raise ValueError(f"fusions.{name}: weights: {len(weights)} for {len(fusion.members)} members")
    if not any(weights):
        raise ValueError(f"fusions.{name}: weights: all are 0")


def check_circle(name: str, fusions: Mapping[str, FusionSettings], seen: list[str]) -> None:
    """A ValueError where a fusion is among its own members, at any depth."""
    for member in fusions[name].members:
        if member in seen:
            raise ValueError(f"fusions.{seen[0]}: a circle of fusions, {' <- '.join([*seen, member])}")
        if member in fusions:
            check_circle(member, fusions, [*seen, member])
