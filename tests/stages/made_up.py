"""Scores of three made-up streams of 300 videos: one good, one fair, one that knows nothing."""

import numpy as np

from lgdnet.scores import softmax

N, K = 300, 4
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, K, N)
IDS = np.array([f"v{i:03d}" for i in range(N)])
CLASSES = ["a", "b", "c", "d"]


def stream(strength):
    logits = GENERATOR.normal(size=(N, K))
    logits[np.arange(N), LABELS] += strength
    return softmax(logits)


STREAMS = {"frame": stream(1.5), "flow": stream(1.2), "noise": stream(0)}
