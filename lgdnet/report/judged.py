"""Every row of a challenge, judged video by video: one score file at a time, so that memory does not grow with them.

N videos, K classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lgdnet import metrics
from lgdnet.log import progress
from lgdnet.report.challenge import Finished, Row
from lgdnet.scores import align, read_scores, softmax
from lgdnet.scores.errors import check_classes
from lgdnet.scores.labels import check_labels

TOP = 5


@dataclass(frozen=True)
class Judged:
    """What a row says of every video, by the five best classes; a missing video is wrong."""

    row: Row
    labels: np.ndarray  # (N,)
    num_classes: int
    present: np.ndarray  # (N,) bool
    ranks: np.ndarray  # (N,) of the true class
    top_classes: np.ndarray  # (N, 5) or all of fewer classes
    top_scores: np.ndarray  # (N, 5) in [0, 1]
    reliability: metrics.Reliability

    @property
    def right(self) -> np.ndarray:
        """(N,) bool"""
        return self.ranks < 1

    @cached_property
    def class_top1(self) -> np.ndarray:
        """(K,) in [0, 1], NaN for a class without videos"""
        return metrics.per_class_accuracy(self.right, self.labels, self.num_classes)

    def confusion(self) -> np.ndarray:
        """(K, K) counts: rows true, columns predicted"""
        predicted = np.where(self.present, self.top_classes[:, 0], -1)
        return metrics.confusion(predicted, self.labels, self.num_classes)


@dataclass(frozen=True)
class Judgement:
    """All rows by name, the classes, and how much the streams differ on each video."""

    rows: dict[str, Judged]
    classes: list[str]
    class_counts: np.ndarray  # (K,)
    disagreement: np.ndarray  # (N,) nats

    def of(self, row: Row) -> Judged:
        return self.rows[row.name]


class Disagreement:
    """Generalised Jensen-Shannon divergence of what the streams say: entropy of the mean less the mean entropy.

    0 where all say the same; streams that have nothing to say on a video are left out for it.
    """

    def __init__(self) -> None:
        self._sum: np.ndarray | None = None  # (N, K) of probabilities

    def add(self, probabilities: np.ndarray, present: np.ndarray) -> None:
        """(N, K), (N,)"""
        if self._sum is None:
            self._sum = np.zeros_like(probabilities)
            self._entropy, self._count = np.zeros(len(present)), np.zeros(len(present))
        self._sum += np.where(present[:, None], probabilities, 0)
        self._entropy += np.where(present, entropy(probabilities), 0)
        self._count += present

    def result(self, num_videos: int) -> np.ndarray:
        """(N,)"""
        if self._sum is None:
            return np.zeros(num_videos)
        count = np.maximum(self._count, 1)
        self._sum /= count[:, None]
        return np.maximum(entropy(self._sum) - self._entropy / count, 0)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Of each row, in nats: (N, K) -> (N,)"""
    logs = np.log(np.maximum(probabilities, np.float32(1e-30)))
    return -np.einsum("nk,nk->n", probabilities, logs).astype(float)


def judge_all(finished: Finished, rows: Iterable[Row]) -> Judgement:
    """Read and judge the score file of each row. Errors: ScoresError with the file's name."""
    rows, found = list(rows), {}
    speaking = {row.name for row in finished.voices.values()}
    differ = Disagreement()
    labels, classes = finished.labels, list[str]()
    for row in progress(rows, what="judge", unit="rows"):
        path = finished.scores_file(row)
        scores = read_scores(path)
        check_labels(labels, scores.classes, path)
        if classes:
            check_classes(path, scores.classes, classes, finished.scores_file(rows[0]))
        classes = scores.classes
        aligned, present = align([scores], labels.video_ids, labels.path)
        is_log = scores.kind == "logits"
        del scores
        found[row.name], probabilities = judge(row, aligned[0], labels.labels, present[0], is_log=is_log)
        if row.name in speaking:
            differ.add(probabilities, present[0])
    counts = np.bincount(labels.labels, minlength=len(classes))
    return Judgement(found, classes, counts, differ.result(len(labels)))


def judge(
    row: Row, scores: np.ndarray, labels: np.ndarray, present: np.ndarray, *, is_log: bool
) -> tuple[Judged, np.ndarray]:
    """One row, and its (N, K) probabilities."""
    ranks = metrics.label_ranks(scores, labels, present)
    top = metrics.top_classes(scores, TOP)
    probabilities = softmax(scores) if is_log else scores
    reliability = metrics.reliability(probabilities[present], labels[present])
    top_scores = np.take_along_axis(probabilities, top, axis=1)
    judged = Judged(row, labels, scores.shape[1], present, ranks, top, top_scores, reliability)
    return judged, probabilities
