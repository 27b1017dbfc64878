"""How good scores are. Arithmetic over (N, K) scores aligned to (N,) labels; no paths, no files.

N videos, K classes. Everything is a fraction in [0, 1]. `present` (N,) bool marks videos that have scores: a
missing video counts as wrong, as in the official Kinetics script.

Ties are broken in one way everywhere, also in submissions: of equal scores the higher class index ranks
first, which is scikit-learn's rule in `top_k_accuracy_score`.
"""

import numpy as np

MISSING_RANK = np.iinfo(np.int64).max  # worse than any k


def label_ranks(scores: np.ndarray, labels: np.ndarray, present: np.ndarray | None = None) -> np.ndarray:
    """Rank of the true class of each video, 0 for the best: (N, K), (N,) -> (N,). Missing: MISSING_RANK."""
    N, K = scores.shape
    labels = np.asarray(labels, np.int64)
    assert labels.shape == (N,), f"{labels.shape} labels for {N} videos"
    assert not N or (labels.min() >= 0 and labels.max() < K), (
        "labels must be in 0..K-1; drop unlabelled videos first"
    )
    own = np.take_along_axis(scores, labels[:, None], axis=1)  # (N, 1)
    better = (scores > own).sum(axis=1)
    tied = ((scores == own) & (np.arange(K) > labels[:, None])).sum(axis=1)
    ranks = (better + tied).astype(np.int64)
    return ranks if present is None else np.where(present, ranks, MISSING_RANK)


def top_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """The k best classes of each video, best first: (N, K) -> (N, min(k, K))."""
    K = scores.shape[1]
    return (K - 1 - np.argsort(-scores[:, ::-1], axis=1, kind="stable"))[:, :k]


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


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
