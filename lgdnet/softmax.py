"""Logits to probabilities and their logarithms, without overflow.

N videos, K classes, S streams.
"""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, float32, without overflow."""
    logits = np.asarray(logits, np.float32)
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, float32. Differences between classes stay exact where probabilities would be 0."""
    logits = np.asarray(logits, np.float32)
    logits = logits - logits.max(axis=-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits


def log_mean(log_scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Log of the weighted mean of probabilities, over the first axis: (S, N, K), (S, N) -> (N, K).

    Weights sum to 1 over S. Where all are 0 the result is -inf.
    """
    with np.errstate(divide="ignore"):
        terms = log_scores + np.log(weights, dtype=np.float32)[:, :, None]
        top = np.nan_to_num(terms.max(axis=0), neginf=0.0)  # (N, K)
        terms -= top
        return np.log(np.exp(terms, out=terms).sum(axis=0)) + top
