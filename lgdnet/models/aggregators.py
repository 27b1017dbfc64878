"""From the views of a video to one row of scores: pooling, and networks over the features of its clips.

N videos, V views (clips in order of time; times crops), D channels, K classes.
"""

from typing import Literal

import numpy as np

from lgdnet.metrics import softmax

Pooled = Literal["scores", "logits"]


def average_pool(logits: np.ndarray, *, of: Pooled = "scores") -> np.ndarray:
    """AP of the slides: the mean of the clips. (N, V, K) logits -> (N, K) scores.

    `scores` averages after softmax (the slides), `logits` before (the authors' released script). Averaging
    features and classifying once is the same as `logits` for every linear classifier.
    """
    if of == "logits":
        return softmax(logits.mean(axis=1))
    return softmax(logits).mean(axis=1)


def max_pool(logits: np.ndarray) -> np.ndarray:
    """Control: the best moment of each class decides. (N, V, K) logits -> (N, K) scores."""
    return softmax(logits.max(axis=1))
