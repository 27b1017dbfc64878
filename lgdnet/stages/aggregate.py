"""Views of each video -> one row of scores: reads feature shards, writes a score file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lgdnet.artefact import digest, provenance
from lgdnet.log import progress
from lgdnet.models.aggregators import Pooled, average_pool, max_pool
from lgdnet.scores import Features, ScoresError, read_features, write_scores
from lgdnet.scores.errors import some
from lgdnet.scores.labels import read_labels

VIDEOS_PER_BATCH = 256


def run(
    feature_shards: Sequence[Path],
    manifest: Path,
    out: Path,
    *,
    method: Literal["average_pool", "max_pool"] = "average_pool",
    of: Pooled = "scores",
) -> None:
    """Aggregate every video of the manifest. The shards must hold exactly its videos."""
    features = read_features(feature_shards)
    expected = read_labels(manifest)
    check_same_videos(features, expected.video_ids, manifest)
    scores = pool(features, method=method, of=of)
    present = features.present
    write_scores(
        out,
        features.video_ids[present],
        scores[present],
        features.classes,
        absent=features.video_ids[~present],
        provenance=provenance(
            {"method": method, "of": of, "dump": features.settings},
            {"checkpoint": features.checkpoint_digest, "videos": digest(expected.video_ids.tolist())},
        ),
        cost=features.cost,
    )


def pool(features: Features, *, method: str, of: Pooled) -> np.ndarray:
    """(N, K) scores in the order of the features."""
    scores = np.zeros((len(features), len(features.classes)), np.float32)
    batches = range(0, len(features), VIDEOS_PER_BATCH)
    for start in progress(batches, what=f"aggregate {method}", unit="batches"):
        stop = min(start + VIDEOS_PER_BATCH, len(features))
        logits = features.read_range("logits", start, stop)
        scores[start:stop] = average_pool(logits, of=of) if method == "average_pool" else max_pool(logits)
    return scores


def check_same_videos(features: Features, video_ids: np.ndarray, manifest: Path) -> None:
    """n_scored == n_expected, by id."""
    missing = sorted(set(video_ids.tolist()) - set(features.video_ids.tolist()))
    extra = sorted(set(features.video_ids.tolist()) - set(video_ids.tolist()))
    where = (
        features.paths[0]
        if len(features.paths) == 1
        else f"{features.paths[0]} and {len(features.paths) - 1} more"
    )
    if missing:
        raise ScoresError(
            f"{where}: no features for {len(missing)} of {len(video_ids)} videos in {manifest}, first "
            f"{some(missing)}. Is a shard missing? Rerun snakemake to dump it."
        )
    if extra:
        raise ScoresError(
            f"{where}: features of {len(extra)} videos that are not in {manifest}, first {some(extra)}. "
            f"Is this the manifest of another split?"
        )
