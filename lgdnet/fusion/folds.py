"""Folds of validation that depend on the videos' names and nothing else."""

import hashlib

import numpy as np


def deal_folds(video_ids: np.ndarray, labels: np.ndarray, *, num_folds: int = 5, seed: int = 0) -> np.ndarray:
    """(N,) fold of each video: within each class, videos in the order of their hashed ids are dealt out.

    So every fold has every class alike, and neither the order of a manifest nor a rerun moves a video.
    Fewer videos than folds is a `ValueError`.
    """
    if len(video_ids) < num_folds:
        raise ValueError(f"{len(video_ids)} videos cannot be dealt into {num_folds} folds")
    key = [
        hashlib.sha256(f"{seed} {video_id}".encode()).digest() for video_id in np.asarray(video_ids).tolist()
    ]
    order = sorted(range(len(key)), key=lambda i: (int(labels[i]), key[i]))
    folds = np.empty(len(key), np.int64)
    folds[order] = np.arange(len(key)) % num_folds
    return folds
