"""Fusions of streams and of fusions: fit on some videos, predict others, cross-fit over folds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from lgdnet.errors import InputError
from lgdnet.fusion.search import METHODS, Candidates, best_temperature, shares
from lgdnet.softmax import log_mean, log_softmax

NUM_CANDIDATES = 32  # classes of a video that a search looks at; the true one is always among them
VIDEOS_PER_BATCH = 4096
MIN_PROBABILITY = 1.2e-38  # the smallest that float32 holds at full precision; zeros of others get it


class Stream(NamedTuple):
    """One stream, aligned to the manifest: (N, K) rows and (N,) bool present.

    Rows are probabilities, or, with `is_log`, logits of any offset: nothing is lost to underflow.
    """

    scores: np.ndarray
    present: np.ndarray
    is_log: bool = False


@dataclass(frozen=True)
class Fusion:
    """What is fused, and how weights are found.

    `members` are names of streams or other fusions. `given` takes `weights` (equal where None); the other
    methods find theirs on labelled videos. `of` says what is averaged: `scores`, or `logits` (as
    log-probabilities: a geometric mean). `calibrate` first brings each member to its best temperature.
    """

    name: str
    members: "tuple[str | Fusion, ...]"
    method: Literal["given", "convex", "greedy", "stack"] = "given"
    weights: tuple[float, ...] | None = None
    of: Literal["scores", "logits"] = "scores"
    calibrate: bool = False

    @classmethod
    def from_json(cls, text: str) -> "Fusion":
        """From JSON of the fields, members nested; an InputError where it is none."""
        try:
            fusion = cls._from(json.loads(text))
            fusion.check_names({})
            return fusion
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"--fusion: not a fusion ({type(error).__name__}: {error}): {text!r}") from None

    @classmethod
    def _from(cls, values: Mapping[str, Any]) -> "Fusion":
        members = tuple(m if isinstance(m, str) else cls._from(m) for m in values["members"])
        weights = values.get("weights")
        fusion = cls(**{**values, "members": members, "weights": None if weights is None else tuple(weights)})
        if not members or fusion.method not in ("given", *METHODS) or fusion.of not in ("scores", "logits"):
            raise ValueError(f"unknown method {fusion.method!r}, or of {fusion.of!r}, or no members")
        fusion._check_weights()
        return fusion

    def _check_weights(self) -> None:
        weights = self.weights
        if weights is None:
            return
        if self.method != "given":
            raise ValueError(f"weights of {self.name} are for method 'given', not {self.method!r}")
        if len(weights) != len(self.members):
            raise ValueError(f"{len(weights)} weights for {len(self.members)} members")
        if not (np.isfinite(weights).all() and min(weights) >= 0 and any(weights)):
            raise ValueError(f"weights {list(weights)}; numbers >= 0 are needed, not all of them 0")

    def check_names(self, known: "dict[str, Fusion | None]") -> None:
        """A ValueError where one name stands for two fusions, or for a stream too; their weights go by name."""
        if known.setdefault(self.name, self) != self:
            raise ValueError(f"{self.name!r} names two different things")
        for member in self.members:
            if isinstance(member, Fusion):
                member.check_names(known)
            elif known.setdefault(member, None) is not None:
                raise ValueError(f"{member!r} names two different things")

    @property
    def member_names(self) -> list[str]:
        return [member if isinstance(member, str) else member.name for member in self.members]

    @property
    def learns(self) -> bool:
        """Whether labels of validation are needed, here or in a member."""
        inner = any(member.learns for member in self.members if isinstance(member, Fusion))
        return inner or self.calibrate or self.method != "given"

    def streams(self) -> list[str]:
        """Names of all streams below, each once, in order of first appearance."""
        names = [[m] if isinstance(m, str) else m.streams() for m in self.members]
        return list(dict.fromkeys(name for part in names for name in part))

    def without(self, stream: str) -> "Fusion | None":
        """The same fusion without one stream, at any depth; None where nothing is left."""
        kept = [
            m.without(stream) if isinstance(m, Fusion) else (None if m == stream else m) for m in self.members
        ]
        weights = self.weights and tuple(w for w, m in zip(self.weights, kept, strict=True) if m is not None)
        members = tuple(m for m in kept if m is not None)
        if not members:
            return None
        if weights and not any(weights):  # what is left speaks alike, as in `shares`
            weights = None
        return Fusion(self.name, members, self.method, weights, self.of, self.calibrate)


@dataclass(frozen=True)
class Fitted:
    """A fusion with one weight and one temperature per member, and its inner fusions fitted too."""

    fusion: Fusion
    weights: np.ndarray  # (S,)
    temperatures: np.ndarray  # (S,)
    members: "tuple[str | Fitted, ...]"


def fit(fusion: Fusion, streams: Mapping[str, Stream], labels: np.ndarray, rows: np.ndarray) -> Fitted:
    """Find weights and temperatures on the videos `rows`; no other label is looked at."""
    members = tuple(m if isinstance(m, str) else fit(m, streams, labels, rows) for m in fusion.members)
    # A video on which no member speaks has nothing to teach.
    rows = rows[_any_present(members, streams, rows)]
    num = len(members)
    temperatures = np.ones(num)
    if fusion.calibrate:
        for s, member in enumerate(members):
            stream = _member(member, streams, rows)
            known = stream.present
            temperatures[s] = best_temperature(_log_scores(stream)[known], labels[rows[known]])
    if fusion.method == "given":
        weights = np.ones(num) if fusion.weights is None else np.asarray(fusion.weights, float)
        assert len(weights) == num and (weights >= 0).all() and weights.any(), "one weight >= 0 per member"
    elif num == 1 or not len(rows):
        weights = np.ones(num)
    else:
        started = Fitted(fusion, np.ones(num), temperatures, members)
        of = "logits" if fusion.method == "stack" else fusion.of
        weights = METHODS[fusion.method](_candidates(started, streams, labels, rows, of))
    return Fitted(fusion, weights, temperatures, members)


def predict(fitted: Fitted, streams: Mapping[str, Stream], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fused log-probabilities of the videos `rows`: (n, K) float32, and (n,) bool present.

    Weights are spread over the members that a video has (`shares`); where it has none it stays absent, its row
    zero.
    """
    K = next(iter(streams.values())).scores.shape[1]
    fused, present = np.zeros((len(rows), K), np.float32), np.zeros(len(rows), bool)
    for batch in _batches(len(rows)):
        logs, here = _member_values(fitted, streams, rows[batch], "logits")
        present[batch] = here.any(axis=0)
        share = shares(fitted.weights, here)
        if averaged(fitted.fusion) == "scores":
            mean = log_mean(logs, share)
        else:
            # Stacking finds the scale of log-probabilities too; other weights count relative to each other.
            scale = np.float32(fitted.weights.sum() if fitted.fusion.method == "stack" else 1.0)
            mean = np.einsum("sn,snk->nk", scale * share, logs)
        fused[batch] = log_softmax(np.where(present[batch][:, None], mean, 0)) * present[batch][:, None]
    return fused, present


def averaged(fusion: Fusion) -> Literal["scores", "logits"]:
    """What is averaged: stacking weighs log-probabilities, whatever `of` says."""
    return "logits" if fusion.method == "stack" else fusion.of


def cross_fit(
    fusion: Fusion, streams: Mapping[str, Stream], labels: np.ndarray, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[Fitted]]:
    """Log-probabilities (N, K), (N,) present and the fit of each fold: every video's row comes from weights that never saw its label.

    Inner fusions are fitted anew inside each fold, so nothing leaks through them either.
    """
    K = next(iter(streams.values())).scores.shape[1]
    scores, present = np.zeros((len(labels), K), np.float32), np.zeros(len(labels), bool)
    fits = []
    for fold in np.unique(folds):
        held_out = np.flatnonzero(folds == fold)
        fits.append(fit(fusion, streams, labels, np.flatnonzero(folds != fold)))
        scores[held_out], present[held_out] = predict(fits[-1], streams, held_out)
    return scores, present, fits


def _member(member: str | Fitted, streams: Mapping[str, Stream], rows: np.ndarray) -> Stream:
    if isinstance(member, str):
        stream = streams[member]
        return Stream(stream.scores[rows], stream.present[rows], stream.is_log)
    return Stream(*predict(member, streams, rows), is_log=True)


def _member_values(
    fitted: Fitted, streams: Mapping[str, Stream], rows: np.ndarray, of: str
) -> tuple[np.ndarray, np.ndarray]:
    """What is averaged, at the right temperature: (S, n, K) with zeros where absent, and (S, n) present."""
    values, present = [], []
    for member, temperature in zip(fitted.members, fitted.temperatures, strict=True):
        stream = _member(member, streams, rows)
        scores = stream.scores
        if temperature != 1 or of == "logits" or stream.is_log:
            log_scores = log_softmax(_log_scores(stream) / np.float32(temperature))
            scores = log_scores if of == "logits" else np.exp(log_scores)
        values.append(scores * stream.present[:, None])
        present.append(stream.present)
    return np.stack(values), np.stack(present)


def _log_scores(stream: Stream) -> np.ndarray:
    return stream.scores if stream.is_log else np.log(np.maximum(stream.scores, MIN_PROBABILITY))


def _candidates(
    fitted: Fitted, streams: Mapping[str, Stream], labels: np.ndarray, rows: np.ndarray, of: str
) -> Candidates:
    """The true class and its strongest rivals by the plain mean of all members."""
    values, present = [], []
    for batch in _batches(len(rows)):
        part, here = _member_values(fitted, streams, rows[batch], of)
        mean = part.sum(axis=0)  # (n, K)
        true = labels[rows[batch]][:, None]
        np.put_along_axis(mean, true, np.inf, axis=1)
        M = min(NUM_CANDIDATES, mean.shape[1])
        strongest = np.argpartition(-mean, M - 1, axis=1)[:, :M]
        at = (strongest == true).argmax(axis=1)[:, None]
        np.put_along_axis(strongest, at, strongest[:, :1].copy(), axis=1)
        strongest[:, :1] = true
        values.append(np.take_along_axis(part, strongest[None], axis=2))
        present.append(here)
    return Candidates(np.concatenate(values, axis=1), np.concatenate(present, axis=1), of)


def _any_present(
    members: tuple[str | Fitted, ...], streams: Mapping[str, Stream], rows: np.ndarray
) -> np.ndarray:
    found = np.zeros(len(rows), bool)
    for member in members:
        if isinstance(member, str):
            found |= streams[member].present[rows]
        else:
            found |= _any_present(member.members, streams, rows)
    return found


def _batches(num: int) -> Iterator[slice]:
    return (slice(start, min(start + VIDEOS_PER_BATCH, num)) for start in range(0, num, VIDEOS_PER_BATCH))
