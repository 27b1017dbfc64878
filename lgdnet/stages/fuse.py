"""Score files of streams -> one score file, its weights, and what each stream brings.

On a labelled split weights are found and cross-fitted: each video's score comes from weights that never saw its
label. Other splits are fused with the weights from all labelled videos.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lgdnet import metrics
from lgdnet.artefact import digest, provenance, write_text
from lgdnet.fusion import Fitted, Fusion, Stream, cross_fit, deal_folds, fit, predict
from lgdnet.log import progress, say
from lgdnet.scores import Scores, ScoresError, align, read_scores, read_weights, write_scores, write_weights
from lgdnet.scores.files import networks_of
from lgdnet.scores.labels import Labels, check_class_order, check_labels, read_labels, rejected_ids


def run(
    score_files: Mapping[str, Path],
    manifest: Path,
    out: Path,
    *,
    fusion: Fusion,
    weights_out: Path | None = None,
    study_out: Path | None = None,
    weights: Path | None = None,
    rejected: Path | None = None,
    split: str | None = None,
    num_folds: int = 5,
    seed: int = 0,
) -> None:
    """Fuse the named score files.

    Without `weights` the manifest must be labelled: weights go to `weights_out`, the scores are cross-fitted, and
    `study_out` tells what fusing is worth in sample and without each stream; the videos of the split that `rejected` lists count
    as wrong there. With `weights` they are applied.
    """
    missing = [name for name in fusion.streams() if name not in score_files]
    if missing:
        raise ScoresError(f"fusion {fusion.name}: no score file was given for {', '.join(missing)}.")
    files = [read_scores(score_files[name]) for name in fusion.streams()]
    labels = read_labels(manifest)
    num_rejected = len(rejected_ids(rejected, labels, split)) if rejected else 0
    check_class_order(labels, files[0].classes, files[0].path)
    streams = aligned_streams(fusion.streams(), files, labels)
    everything = np.arange(len(labels))
    fits: list[Fitted] = []
    if weights is not None:
        fitted = read_weights(weights, fusion)
    else:
        if fusion.learns or study_out is not None:
            check_enough(labels, files[0], num_folds)
        fitted = fit(fusion, streams, labels.labels, everything)
    if weights is None and fusion.learns:
        folds = deal_folds(labels.video_ids, labels.labels, num_folds=num_folds, seed=seed)
        scores, present, fits = cross_fit(fusion, streams, labels.labels, folds)
    else:
        scores, present = predict(fitted, streams, everything)
    if weights_out is not None:
        write_weights(weights_out, fitted, fits)
    write_scores(
        out,
        labels.video_ids[present],
        scores[present],
        files[0].classes,
        kind="logits",
        absent=labels.video_ids[~present],
        provenance=provenance(
            {"fusion": described(fusion), "num_folds": num_folds, "seed": seed, "cross_fitted": bool(fits)},
            {str(file.path): digest(file.provenance) for file in files},
        ),
        networks=networks_of(files),
    )
    if study_out is not None:
        lines = study(
            fusion,
            streams,
            labels,
            Stream(scores, present, is_log=True),
            num_rejected=num_rejected,
            num_folds=num_folds,
            seed=seed,
        )
        write_text(study_out, pd.DataFrame(lines).to_csv(index=False, lineterminator="\n"))


def check_enough(labels: Labels, file: Scores, num_folds: int) -> None:
    """Labelled, and at least one video per fold."""
    check_labels(labels, file.classes, file.path)
    if len(labels) < num_folds:
        raise ScoresError(
            f"{labels.path}: {len(labels)} videos cannot be dealt into {num_folds} folds; "
            f"lower num_folds under evaluate."
        )


def aligned_streams(names: Sequence[str], files: Sequence[Scores], labels: Labels) -> dict[str, Stream]:
    """Each stream in the order of the manifest, joined by id."""
    streams = {}
    for name, file in zip(names, files, strict=True):
        aligned, present = align([file], labels.video_ids, labels.path, first=files[0])
        streams[name] = Stream(aligned[0], present[0], is_log=file.kind == "logits")
        if not present[0].all():  # no sound: the weights of the others are shared out anew for these videos
            say(
                f"{name}: nothing to say on {(~present[0]).sum()} of {len(present[0])} videos; left out for them"
            )
    return streams


def described(fusion: Fusion) -> dict[str, object]:
    """The settings of a fusion as JSON can hold them."""
    members = [m if isinstance(m, str) else described(m) for m in fusion.members]
    return {
        "name": fusion.name,
        "members": members,
        "method": fusion.method,
        "weights": fusion.weights,
        "of": fusion.of,
        "calibrate": fusion.calibrate,
    }


def study(
    fusion: Fusion,
    streams: Mapping[str, Stream],
    labels: Labels,
    whole: Stream,
    *,
    num_rejected: int,
    num_folds: int,
    seed: int,
) -> list[dict[str, object]]:
    """Accuracy of the `whole` fusion as reported, what in-sample weights would claim, and each stream's share.

    `brings` is the top-1 accuracy that is lost without the stream, with its 95 % paired bootstrap interval.
    `num_rejected` videos have no row and are wrong everywhere, as in the leaderboard.
    """
    y, everything = labels.labels, np.arange(len(labels))

    def ranks(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
        return metrics.with_misses(metrics.label_ranks(scores, y, present), num_rejected)

    folds = deal_folds(labels.video_ids, y, num_folds=num_folds, seed=seed)
    of_whole = ranks(whole.scores, whole.present)
    lines = [_study_line(fusion.name, "all, cross-fitted", of_whole)]
    if fusion.learns:
        flattered = predict(fit(fusion, streams, y, everything), streams, everything)
        lines.append(_study_line(fusion.name, "all, in sample", ranks(*flattered)))
    names = fusion.streams()
    for name in progress(names, what=f"leave one out of {fusion.name}", unit="streams"):
        rest = fusion.without(name)
        if rest is None:
            continue
        scores, present, _ = cross_fit(rest, streams, y, folds)
        of_rest = ranks(scores, present)
        test = metrics.paired_test(of_whole < 1, of_rest < 1, np.random.default_rng(seed))
        lines.append(
            _study_line(fusion.name, f"without {name}", of_rest)
            | {
                "brings": f"{100 * test.difference:.2f}",
                "brings_low": f"{100 * test.low:.2f}",
                "brings_high": f"{100 * test.high:.2f}",
                "p_value": f"{test.p_value:.3g}",
            }
        )
    say(f"{fusion.name}: top-1 {lines[0]['Top1']} % on videos that the weights never saw")
    return lines


def _study_line(fusion: str, what: str, ranks: np.ndarray) -> dict[str, object]:
    top1, top5 = np.mean(ranks < 1), np.mean(ranks < 5)
    return {
        "fusion": fusion,
        "streams": what,
        "Top1": f"{100 * top1:.2f}",
        "Top5": f"{100 * top5:.2f}",
        "avg_error": f"{100 * (1 - (top1 + top5) / 2):.2f}",
        "brings": "",
        "brings_low": "",
        "brings_high": "",
        "p_value": "",
    }
