"""Views of each video -> one row of scores: reads feature shards, writes a score file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lgdnet.aggregation import aggregated, check_fits, read_learned
from lgdnet.artefact import digest, provenance
from lgdnet.models.aggregators import AGGREGATORS, Pooled
from lgdnet.scores import Features, ScoresError, read_features, write_scores
from lgdnet.scores.errors import some
from lgdnet.scores.labels import read_labels


def run(
    dumps: Sequence[Sequence[Path]],
    manifest: Path,
    out: Path,
    *,
    method: str = "average_pool",
    of: Pooled = "scores",
    model: Path | None = None,
    threads: int = 1,
) -> None:
    """Aggregate every video of the manifest with a pool, or with the learned aggregation in `model`.

    `dumps` has the shards of one stream, or of each stream of a joint network in its order. They must hold
    exactly the videos of the manifest.
    """
    torch.set_num_threads(threads)
    video_ids = read_labels(manifest).video_ids
    streams = [read_features(shards) for shards in dumps]
    for features in streams:
        check_same_videos(features, video_ids, manifest)
    learned = None
    if AGGREGATORS[method].network is not None:
        if model is None:
            raise ScoresError(f"{out}: {method} is learned; give --model, the file that fit-aggregator made.")
        learned = read_learned(model)
        check_fits(learned, method, streams, model)
        settings = {"method": learned.method, "settings": learned.settings.model_dump(mode="json")}
        inputs = {"model": learned.digest}
        # It sees features once per video, not clips.
        head = {learned.digest: {"parameters": float(learned.num_parameters), "gflops_per_clip": 0.0}}
    else:
        if len(streams) != 1:
            raise ScoresError(
                f"{out}: {method} takes the features of one stream, but {len(streams)} dumps were given, "
                f"{', '.join(str(features.paths[0]) for features in streams)}. Give the shards of one folder."
            )
        settings, inputs, head = {"method": method, "of": of}, {}, {}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows, scores = aggregated(streams, video_ids, method=method, of=of, learned=learned, device=device)
    present = np.zeros(len(video_ids), bool)
    present[rows] = True
    write_scores(
        out,
        video_ids[rows],
        scores,
        streams[0].classes,
        kind="logits",
        absent=video_ids[~present],
        provenance=provenance(
            {**settings, "dump": [features.settings for features in streams]},
            {
                **inputs,
                "checkpoints": ",".join(features.checkpoint_digest for features in streams),
                "videos": digest(video_ids.tolist()),
            },
        ),
        networks={**{features.checkpoint_digest: features.cost for features in streams}, **head},
    )


def check_same_videos(features: Features, video_ids: np.ndarray, manifest: Path) -> None:
    """n_scored == n_expected, by id."""
    missing = sorted(set(video_ids.tolist()) - set(features.video_ids.tolist()))
    extra = sorted(set(features.video_ids.tolist()) - set(video_ids.tolist()))
    others = len(features.paths) - 1
    where = f"{features.paths[0]}" + (f" and {others} more" if others else "")
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
