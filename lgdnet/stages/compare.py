"""Two score files on the same videos: which is better, and could it be chance?"""

from pathlib import Path

import numpy as np

from lgdnet import metrics
from lgdnet.scores import align, read_scores
from lgdnet.scores.labels import check_labels, read_labels


def run(a: Path, b: Path, manifest: Path, *, seed: int = 0) -> str:
    """Paired difference of top-1, top-5 and average error with 95 % intervals, and McNemar's test, as text."""
    labels = read_labels(manifest)
    files = [read_scores(a), read_scores(b)]
    check_labels(labels, len(files[0].classes), a)
    aligned, present = align(files, labels.video_ids, labels.path)
    ranks = [metrics.label_ranks(s, labels.labels, p) for s, p in zip(aligned, present, strict=True)]
    hits = np.array([[rank < 1, rank < 5] for rank in ranks], float)  # (2 files, 2 metrics, N)
    values = np.column_stack([*(hits[0] - hits[1]), (hits[1] - hits[0]).mean(axis=0)])  # (N, 3)
    low, high = metrics.bootstrap_interval(values, np.random.default_rng(seed))
    test = metrics.paired_test(ranks[0] < 1, ranks[1] < 1, np.random.default_rng(seed))
    means = [[hit[0].mean(), hit[1].mean(), 1 - hit.mean()] for hit in hits]
    lines = [f"A {a}", f"B {b}", f"{len(labels)} videos; percent, A - B with 95 % bootstrap interval"]
    for i, name in enumerate(("top-1", "top-5", "avg error")):
        difference = f"{100 * values[:, i].mean():+.2f} [{100 * low[i]:+.2f}, {100 * high[i]:+.2f}]"
        lines.append(f"{name:10} A {100 * means[0][i]:6.2f}   B {100 * means[1][i]:6.2f}   {difference}")
    lines.append(
        f"only A right {test.only_a}, only B right {test.only_b}, McNemar exact p = {test.p_value:.3g}"
    )
    return "\n".join(lines)
