"""How good scores are. Arithmetic over (N, K) scores aligned to (N,) labels; no paths, no files.

N videos, K classes. Everything is a fraction in [0, 1]. `present` (N,) bool marks videos that have scores: a
missing video counts as wrong, as in the official Kinetics script.

Ties are broken in one way everywhere, also in submissions: of equal scores the higher class index ranks
first, which is scikit-learn's rule in `top_k_accuracy_score`.
"""

from typing import NamedTuple

import numpy as np

MISSING_RANK = np.iinfo(np.int64).max  # worse than any k


def label_ranks(scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
    """Rank of the true class of each video, 0 for the best: (N, K), (N,) -> (N,). Missing: MISSING_RANK."""
    N, K = scores.shape
    labels = np.asarray(labels, np.int64)
    assert labels.shape == (N,), f"{labels.shape} labels for {N} videos"
    assert not N or (labels.min() >= 0 and labels.max() < K), "labels must be in 0..K-1"
    own = np.take_along_axis(scores, labels[:, None], axis=1)  # (N, 1)
    better = (scores > own).sum(axis=1)
    tied = ((scores == own) & (np.arange(K) > labels[:, None])).sum(axis=1)
    ranks = (better + tied).astype(np.int64)
    return ranks if present is None else np.where(present, ranks, MISSING_RANK)


def with_misses(ranks: np.ndarray, num_missing: int) -> np.ndarray:
    """(N,) ranks and those of videos that have no row at all: (N + num_missing,)."""
    return np.concatenate([ranks, np.full(num_missing, MISSING_RANK)])


def top_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """The k best classes of each video, best first: (N, K) -> (N, min(k, K))."""
    K = scores.shape[1]
    if 8 * k > K:
        return (K - 1 - np.argsort(-scores[:, ::-1], axis=1, kind="stable"))[:, :k]
    mirrored, every = np.ascontiguousarray(scores[:, ::-1]), np.arange(len(scores))
    best = np.empty((len(scores), k), np.int64)
    for place in range(k):  # a few searches for the largest cost less than a sort
        best[:, place] = mirrored.argmax(axis=1)
        mirrored[every, best[:, place]] = -np.inf
    return K - 1 - best


def hits(scores: np.ndarray, labels: np.ndarray, k: int, present: np.ndarray | None = None) -> np.ndarray:
    """Whether the true class is among the k best: (N,) bool."""
    return label_ranks(scores, labels, present) < k


def top_k_accuracy(
    scores: np.ndarray, labels: np.ndarray, k: int = 1, present: np.ndarray | None = None
) -> float:
    """Share of videos whose true class is among the k best."""
    return _mean(hits(scores, labels, k, present))


def average_error(scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None) -> float:
    """The challenge's ranking: mean of top-1 and top-5 error."""
    ranks = label_ranks(scores, labels, present)
    return 1 - (_mean(ranks < 1) + _mean(ranks < 5)) / 2


def per_class_accuracy(hit: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """(N,) hits -> (K,) share of each class's videos, NaN for a class without videos."""
    counts = np.bincount(labels, minlength=num_classes)
    correct = np.bincount(labels, weights=hit, minlength=num_classes)
    return np.divide(correct, counts, out=np.full(num_classes, np.nan), where=counts > 0)


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None) -> float:
    """Top-1 accuracy averaged over the classes that occur: every class counts the same."""
    accuracy = per_class_accuracy(hits(scores, labels, 1, present), labels, scores.shape[1])
    return float(np.nanmean(accuracy)) if len(labels) else float("nan")


def predictions(scores: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
    """Best class of each video, -1 where it is missing: (N, K) -> (N,)."""
    best = top_classes(scores, 1)[:, 0]
    return best if present is None else np.where(present, best, -1)


def confusion(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, K) counts: rows true, columns predicted. Missing videos (-1) are in no column."""
    known = predicted >= 0
    pairs = labels[known] * num_classes + predicted[known]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


class Reliability(NamedTuple):
    """Sums over the videos of each of B bins of confidence of equal width, all (B,)."""

    videos: np.ndarray
    confidence: np.ndarray
    hits: np.ndarray

    @property
    def expected_error(self) -> float:
        """Mean gap between confidence and accuracy (Guo et al. 2017)."""
        gap = np.abs(self.confidence - self.hits).sum()
        return float(gap / self.videos.sum()) if self.videos.any() else float("nan")


def reliability(scores: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> Reliability:
    """How often the best class is right, by how sure the scores are of it: (N, K), (N,)."""
    confidence, hit = scores.max(axis=1), hits(scores, labels, 1)
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    videos = np.bincount(bins, minlength=num_bins)
    return Reliability(
        videos, np.bincount(bins, confidence, minlength=num_bins), np.bincount(bins, hit, minlength=num_bins)
    )


def expected_calibration_error(
    scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None, num_bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, where present."""
    if present is not None:
        scores, labels = scores[present], labels[present]
    return reliability(scores, labels, num_bins).expected_error


class Interval(NamedTuple):
    """Bounds of one or of M means."""

    low: np.ndarray
    high: np.ndarray


def bootstrap_interval(
    values: np.ndarray,
    generator: np.random.Generator,
    *,
    num_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap of the means of (N, M) values over videos: (M,) low, (M,) high.

    Equal rows are drawn together from one multinomial, which is the same distribution at the cost of a few
    distinct rows.
    """
    rows, count = np.unique(np.asarray(values, float), axis=0, return_counts=True)
    drawn = generator.multinomial(count.sum(), count / count.sum(), size=num_resamples)  # (R, distinct)
    means = drawn @ rows / count.sum()
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return Interval(low, high)


def accuracy_interval(
    hits: np.ndarray,
    generator: np.random.Generator,
    *,
    num_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Interval of the accuracies of (N, M) hits over videos: (M,) low, (M,) high.

    A bootstrap, but where all N videos are right, or none: these are alike however they are drawn, so the exact
    bound of Clopper and Pearson (1934) stands there.
    """
    low, high = bootstrap_interval(hits, generator, num_resamples=num_resamples, confidence=confidence)
    num_right, N = hits.sum(axis=0), len(hits)
    least = ((1 - confidence) / 2) ** (1 / N)  # an accuracy below it gives N hits in a row too rarely
    return Interval(np.where(num_right == N, least, low), np.where(num_right == 0, 1 - least, high))


class PairedTest(NamedTuple):
    """A against B on the same videos, as fractions. `p_value` is McNemar's exact test of equal top-1."""

    difference: float
    low: float
    high: float
    only_a: int
    only_b: int
    p_value: float


def paired_test(hit_a: np.ndarray, hit_b: np.ndarray, generator: np.random.Generator) -> PairedTest:
    """Difference of two accuracies with its 95 % bootstrap interval, from (N,) hits of the same N videos.

    Where the two disagree on few videos, the interval is too narrow, and the exact `p_value` decides.
    """
    from scipy.stats import binomtest

    difference = hit_a.astype(int) - hit_b.astype(int)
    only_a, only_b = int((difference > 0).sum()), int((difference < 0).sum())
    p_value = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    interval = bootstrap_interval(difference[:, None], generator)
    low, high = float(interval.low[0]), float(interval.high[0])
    return PairedTest(float(difference.mean()), low, high, only_a, only_b, p_value)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
