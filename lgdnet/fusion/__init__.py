"""Late fusion: weighted means of streams, weights found on some videos and judged on others.

S streams, N videos, K classes, M candidate classes of a video. Arithmetic only: no paths, no files.
"""

from lgdnet.fusion.folds import deal_folds
from lgdnet.fusion.search import METHODS
from lgdnet.fusion.tree import Fitted, Fusion, Stream, cross_fit, fit, predict

__all__ = ["METHODS", "Fitted", "Fusion", "Stream", "cross_fit", "deal_folds", "fit", "predict"]
