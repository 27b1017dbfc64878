"""Views of each video -> one row of scores: reads feature shards, writes a score file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lgdnet.aggregation import Learned, how_dumped, predict, read_learned
from lgdnet.artefact import digest, provenance
from lgdnet.loader.features import FeatureSource, width_of
from lgdnet.log import progress
from lgdnet.models.aggregators import AGGREGATORS, Pooled
from lgdnet.scores import Features, ScoresError, read_features, write_scores
from lgdnet.scores.errors import check_classes, some
from lgdnet.scores.labels import read_labels

VIDEOS_PER_BATCH = 256
VIDEOS_PER_NETWORK_BATCH = 64


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
    if AGGREGATORS[method].network is not None:
        if model is None:
            raise ScoresError(f"{out}: {method} is learned; give --model, the file that fit-aggregator made.")
        learned = read_learned(model)
        check_fits(learned, method, streams, model)
        rows, scores = apply(learned, streams, video_ids)
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
        rows, scores = pool(streams[0], video_ids, method=method, of=of)
        settings, inputs, head = {"method": method, "of": of}, {}, {}
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


def pool(
    features: Features, video_ids: np.ndarray, *, method: str, of: Pooled
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the manifest that have scores, and (n, K) log-scores, joined by id."""
    run_pool = AGGREGATORS[method].pool
    assert run_pool is not None
    scores = np.zeros((len(features), len(features.classes)), np.float32)
    starts = range(0, len(features), VIDEOS_PER_BATCH)
    for start in progress(starts, what=f"aggregate {method}", unit="batches"):
        stop = min(start + VIDEOS_PER_BATCH, len(features))
        logits = features.read_range("logits", start, stop)
        scores[start:stop] = run_pool(logits, of=of) if method == "average_pool" else run_pool(logits)
    where = {video_id: row for row, video_id in enumerate(features.video_ids.tolist())}
    stored = np.fromiter((where[video_id] for video_id in video_ids.tolist()), np.int64, len(video_ids))
    rows = np.flatnonzero(features.present[stored])
    return rows, scores[stored[rows]]


def apply(
    learned: Learned, streams: Sequence[Features], video_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-scores of a learned aggregation."""
    unlabelled = np.full(len(video_ids), -1)
    source = FeatureSource(
        [[features] for features in streams],
        video_ids,
        unlabelled,
        learned.settings.features,
        known_widths=learned.widths,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return predict(
        learned.network.to(device),
        source,
        len(learned.classes),
        batch_size=VIDEOS_PER_NETWORK_BATCH,
        device=device,
    )


def check_fits(learned: Learned, method: str, streams: Sequence[Features], model: Path) -> None:
    """A `ScoresError` where features are not like those that the aggregation was trained on."""
    if learned.method != method:
        raise ScoresError(
            f"{model}: trained as {learned.method}, not {method}. Say --method {learned.method}."
        )
    if len(streams) != len(learned.sources):
        raise ScoresError(
            f"{model}: trained on {len(learned.sources)} streams, but {len(streams)} were given. Give one dump of each."
        )
    cure = "Fit the aggregation again, or dump again."
    for features, digest_of, dump, width in zip(
        streams, learned.sources, learned.dumps, learned.widths, strict=True
    ):
        path = features.paths[0]
        if features.checkpoint_digest != digest_of:
            raise ScoresError(
                f"{path}: dumped with checkpoint {features.checkpoint_digest[:12]}, but {model} was "
                f"trained on features of {digest_of[:12]}. {cure}"
            )
        check_classes(path, features.classes, learned.classes, model)
        if how_dumped(features) != dump:
            raise ScoresError(
                f"{path}: dumped with {json.dumps(how_dumped(features), sort_keys=True)}, but {model} was trained on "
                f"features dumped with {json.dumps(dump, sort_keys=True)}. {cure}"
            )
        if not features.present.any():
            continue  # a stream that is silent all through has no width and no crops
        found = (features.num_clips, width_of(features, learned.settings.features))
        if found != (learned.num_clips, width):
            raise ScoresError(
                f"{path}: {found[0]} clips of {found[1]} features, but {model} was trained on {learned.num_clips} "
                f"of {width}. {cure}"
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
