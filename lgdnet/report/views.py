"""Accuracy by number of clips, from the logits of every view.

N videos, V views of a video: clips in order of time, each with its crops. K classes.
"""

from dataclasses import dataclass

import numpy as np

from lgdnet import metrics
from lgdnet.log import progress
from lgdnet.report.challenge import Finished
from lgdnet.scores import Features, read_features, softmax
from lgdnet.scores.errors import ScoresError

MOST_VIDEOS = 2000  # of a split: at 35,000 their logits would be gigabytes, and the curve the same
BLOCK = 64  # videos read at once
STEPS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)


@dataclass(frozen=True)
class ViewCurve:
    """Top-1 in [0, 1] of the mean over `num_clips[i]` evenly spaced clips."""

    stream: str
    num_clips: list[int]
    top1: list[float]
    num_crops: int
    num_videos: int


def view_curves(finished: Finished) -> list[ViewCurve]:
    """Of every stream whose features of the evaluated split are there. Errors: ScoresError naming the file."""
    files = {name: finished.feature_files(name) for name in finished.challenge.streams}
    there = {name: paths for name, paths in files.items() if paths}
    return [
        curve
        for name, paths in progress(there.items(), what="views", total=len(there), unit="streams")
        if (curve := view_curve(finished, name, read_features(paths)))
    ]


def view_curve(finished: Finished, stream: str, features: Features) -> ViewCurve | None:
    """None where no video has views, or none more than one."""
    label_of = dict(zip(finished.labels.video_ids.tolist(), finished.labels.labels.tolist(), strict=True))
    unknown = [video_id for video_id in features.video_ids.tolist() if video_id not in label_of]
    if unknown:
        raise ScoresError(
            f"{features.paths[0]}: video {unknown[0]!r} is not in {finished.labels.path}. Rerun snakemake to make both fit."
        )
    chosen = spaced(np.flatnonzero(features.present), MOST_VIDEOS)
    steps = steps_up_to(features.num_clips)
    if not len(chosen) or len(steps) < 2:
        return None
    labels = np.array([label_of[video_id] for video_id in features.video_ids[chosen].tolist()])
    average = finished.challenge.streams[stream].aggregation.average
    right = np.zeros(len(steps))
    for rows in np.array_split(chosen, -(-len(chosen) // BLOCK)):
        logits = np.stack([features.read("logits", int(row)) for row in rows])  # (N, V, K)
        of_views = softmax(logits) if average == "scores" else logits
        by_clip = of_views.reshape(len(rows), features.num_clips, features.num_crops, -1).mean(axis=2)
        own = labels[np.searchsorted(chosen, rows)]
        for i, number in enumerate(steps):
            mean = by_clip[:, spaced(np.arange(features.num_clips), number)].mean(axis=1)
            right[i] += metrics.hits(mean, own, 1).sum()
    features.close()
    return ViewCurve(stream, steps, (right / len(chosen)).tolist(), features.num_crops, len(chosen))


def steps_up_to(num_clips: int) -> list[int]:
    """Numbers of clips to try; the last one is all of them."""
    return [*(step for step in STEPS if step < num_clips), num_clips]


def spaced(items: np.ndarray, at_most: int) -> np.ndarray:
    """The middles of `at_most` equal parts, in order; all where there are fewer."""
    if len(items) <= at_most:
        return items
    return items[((np.arange(at_most) + 0.5) * len(items) / at_most).astype(int)]
