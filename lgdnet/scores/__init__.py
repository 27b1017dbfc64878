"""The only owner of feature files (one row per view) and score files (one row per video).

N videos, V views of a video (clips x crops), C channels, K classes.
"""

from lgdnet.scores.errors import ScoresError
from lgdnet.scores.features import Features, read_features
from lgdnet.scores.files import Scores, align, read_scores, write_scores
from lgdnet.scores.weights import read_weights, write_weights
from lgdnet.scores.writer import FeaturesWriter
from lgdnet.softmax import softmax

__all__ = [
    "Features",
    "FeaturesWriter",
    "Scores",
    "ScoresError",
    "align",
    "read_features",
    "read_scores",
    "read_weights",
    "softmax",
    "write_scores",
    "write_weights",
]
