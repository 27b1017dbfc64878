"""Finding weights. Each method maps the candidates of labelled videos to one weight per stream.

Searching looks only at each video's `Candidates`: its true class and its strongest rivals, so that a step
costs the same for 10 and for 700 classes. The numbers that are reported always come from all classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

MAX_ROUNDS = 50  # of greedy selection: steps of 2 % are finer than what validation can tell
SMALLEST_STEP = 0.0125  # of the convex search


@dataclass(frozen=True)
class Candidates:
    """Values of the true class (column 0) and its rivals: (S, N, M) float32; (S, N) bool present.

    Values are probabilities where scores are averaged, log-probabilities where logits are; zero where a
    stream lacks the video.
    """

    values: np.ndarray
    present: np.ndarray
    of: str = "scores"

    def loss(self, weights: np.ndarray) -> tuple[float, float]:
        """(average error, log loss): the second decides where the first is flat. A tie counts as wrong."""
        fused = self.fused(np.asarray(weights, np.float32))
        rank = (fused[:, 1:] >= fused[:, :1]).sum(axis=1)
        error = 1 - (np.mean(rank < 1) + np.mean(rank < 5)) / 2
        return float(error), self._log_loss(fused)

    def fused(self, weights: np.ndarray) -> np.ndarray:
        """(N, M) weighted means over the streams that a video has, with `shares` of the weights."""
        mean = np.tensordot(weights, self.values, axes=1)
        if self._all_present:
            return mean / weights.sum()
        total = weights @ self.present  # (N,)
        mean /= np.where(total > 0, total, 1)[:, None]
        if not weights.all():
            silent = total <= 0
            here = shares(weights, self.present[:, silent])
            mean[silent] = np.einsum("sn,snm->nm", here, self.values[:, silent])
        return mean

    @cached_property
    def _all_present(self) -> bool:
        return bool(self.present.all())

    def _log_loss(self, fused: np.ndarray) -> float:
        if self.of == "logits":
            top = fused.max(axis=1, keepdims=True)
            log_sum = top[:, 0] + np.log(np.exp(fused - top).sum(axis=1))
            return float(np.mean(log_sum - fused[:, 0]))
        return float(-np.mean(np.log(np.maximum(fused[:, 0], 1e-12))))


def shares(weights: np.ndarray, present: np.ndarray) -> np.ndarray:
    """What each stream counts for each video: (S,) weights, (S, N) bool -> (S, N), columns sum to 1.

    Weights are spread over the streams that a video has; streams whose weights are all 0 speak alike where they
    are the only ones. A column without any stream is 0.
    """
    share = weights[:, None] * present
    share = np.where(share.sum(axis=0) > 0, share, present)
    return (share / np.maximum(share.sum(axis=0), 1e-30)).astype(np.float32)


def search_convex(candidates: Candidates) -> np.ndarray:
    """Weights on the simplex with the least average error: from the best simple point, move mass pairwise."""
    num_streams = len(candidates.values)
    starts = [np.full(num_streams, 1 / num_streams), *np.eye(num_streams)]
    if candidates.of == "scores":
        starts.append(most_likely_mixture(candidates))
    best = min(starts, key=candidates.loss)
    loss = candidates.loss(best)
    step = 0.2
    while step >= SMALLEST_STEP:
        moved = [_move(best, i, j, step) for i in range(num_streams) for j in range(num_streams)]
        trials = [weights for weights in moved if weights is not None]
        trial = min(trials, key=candidates.loss, default=best)
        if candidates.loss(trial) < loss:
            best, loss = trial, candidates.loss(trial)
        else:
            step /= 2
    return best


def _move(weights: np.ndarray, source: int, target: int, step: float) -> np.ndarray | None:
    """Up to `step` of weight from one stream to another; None where there is nothing to move."""
    amount = min(step, weights[source])
    if source == target or amount <= 0:
        return None
    moved = weights.copy()
    moved[source] -= amount
    moved[target] += amount
    return moved


def most_likely_mixture(candidates: Candidates, num_steps: int = 100) -> np.ndarray:
    """Convex weights of the greatest likelihood of the true classes, by EM: (S,).

    Where streams are missing, a video speaks only of how the weights of the others compare: it counts for the
    missing ones as much as their weights say (EM for truncated data).
    """
    present = candidates.present  # (S, N)
    likelihood = np.maximum(candidates.values[:, :, 0], 1e-12) * present
    weights = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(num_steps):
        joint = weights[:, None] * likelihood
        counts = joint / np.maximum(joint.sum(axis=0), 1e-30)
        counts += weights[:, None] * ~present / np.maximum(weights @ present, 1e-12)
        weights = counts.sum(axis=1)
        weights /= max(weights.sum(), 1e-12)
    return weights


def select_greedily(candidates: Candidates) -> np.ndarray:
    """Caruana et al. 2004: add, with replacement, whichever stream helps most; keep the best round."""
    num_streams = len(candidates.values)
    counts = np.zeros(num_streams)
    best: tuple[tuple[float, float], np.ndarray] | None = None
    for _ in range(MAX_ROUNDS):
        trials = [(counts + one) / (counts.sum() + 1) for one in np.eye(num_streams)]
        losses = [candidates.loss(trial) for trial in trials]
        chosen = min(range(num_streams), key=losses.__getitem__)
        counts[chosen] += 1
        if best is None or losses[chosen] < best[0]:
            best = (losses[chosen], counts / counts.sum())
    assert best is not None
    return best[1]


def stack_logistically(candidates: Candidates) -> np.ndarray:
    """Logistic regression on what streams say of the true class against each rival. Our choice.

    One row per (video, rival): the S differences of log-probability, without intercept. So there is one
    weight per stream, whatever the number of classes, and the fit sees rankings. Streams that would get a negative
    weight are left out, as they would turn a video around where they are the only ones present.
    """
    from sklearn.linear_model import LogisticRegression

    S, N, M = candidates.values.shape
    differences = (candidates.values[:, :, :1] - candidates.values[:, :, 1:]).reshape(S, N * (M - 1)).T
    sign = np.where(np.arange(len(differences)) % 2, 1, -1)  # both outcomes must occur: turn every second row
    rows = np.clip(differences, -30, 30) * sign[:, None]
    kept = np.arange(S)
    while len(kept):
        model = LogisticRegression(C=10.0, fit_intercept=False, max_iter=200).fit(rows[:, kept], sign)
        weights = np.zeros(S)
        weights[kept] = model.coef_[0]
        if (weights[kept] >= 0).all():
            return weights if weights.any() else np.full(S, 1 / S)
        kept = kept[weights[kept] >= 0]
    return np.full(S, 1 / S)


METHODS: dict[str, Callable[[Candidates], np.ndarray]] = {
    "convex": search_convex,
    "greedy": select_greedily,
    "stack": stack_logistically,
}


def best_temperature(log_scores: np.ndarray, labels: np.ndarray, num_steps: int = 20) -> float:
    """T with the least log loss of softmax(log_scores / T), from (N, K) and (N,) labels.

    Newton steps on 1/T, in which the loss is convex. Within 1/20 .. 20; 1 where there are no videos.
    """
    beta = 1.0
    if not len(labels):
        return 1.0
    own = np.take_along_axis(log_scores, labels[:, None], axis=1)[:, 0]
    for _ in range(num_steps):
        scaled = beta * log_scores
        p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * log_scores).sum(axis=1)
        variance = (p * log_scores**2).sum(axis=1) - mean**2
        slope, curvature = float(np.mean(mean - own)), float(np.mean(variance))
        moved = np.clip(beta - slope / max(curvature, 1e-9), beta / 2, beta * 2)
        moved = float(np.clip(moved, 0.05, 20.0))
        if abs(moved - beta) < 1e-6 * beta:
            break
        beta = moved
    return 1 / beta
