"""Two score files on the same videos: which is better, and could it be chance?"""

from pathlib import Path

import numpy as np

from lgdnet import metrics
from lgdnet.scores import align, read_scores
from lgdnet.scores.labels import check_labels, read_labels, rejected_ids


def run(
    a: Path, b: Path, manifest: Path, *, rejected: Path | None = None, split: str | None = None, seed: int = 0
) -> str:
    """Paired difference of top-1, top-5 and average error with 95 % intervals, and McNemar's test, as text.

    Videos of the split that `rejected` lists count as wrong in both, as in the leaderboard.
    """
    labels = read_labels(manifest)
    files = [read_scores(a), read_scores(b)]
    check_labels(labels, files[0].classes, a)
    num_rejected = len(rejected_ids(rejected, labels, split)) if rejected else 0
    aligned, present = align(files, labels.video_ids, labels.path)
    ranks = [
        metrics.with_misses(metrics.label_ranks(scores, labels.labels, here), num_rejected)
        for scores, here in zip(aligned, present, strict=True)
    ]
    hits = np.array([[rank < 1, rank < 5] for rank in ranks], float)  # (2 files, 2 metrics, N)
    values = np.column_stack([*(hits[0] - hits[1]), (hits[1] - hits[0]).mean(axis=0)])  # (N, 3)
    low, high = metrics.bootstrap_interval(values, np.random.default_rng(seed))
    test = metrics.paired_test(ranks[0] < 1, ranks[1] < 1, np.random.default_rng(seed))
    means = [[hit[0].mean(), hit[1].mean(), 1 - hit.mean()] for hit in hits]
    lines = [f"A {a}", f"B {b}", f"{len(values)} videos; percent, A - B with 95 % bootstrap interval"]
    for i, name in enumerate(("top-1", "top-5", "avg error")):
        difference = f"{100 * values[:, i].mean():+.2f} [{100 * low[i]:+.2f}, {100 * high[i]:+.2f}]"
        lines.append(f"{name:10} A {100 * means[0][i]:6.2f}   B {100 * means[1][i]:6.2f}   {difference}")
    lines.append(
        f"only A right {test.only_a}, only B right {test.only_b}, McNemar exact p = {test.p_value:.3g}"
    )
    return "\n".join(lines)
