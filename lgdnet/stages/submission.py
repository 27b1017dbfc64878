"""Scores of the test split -> submission.json, checked before it is written; and judging of such files."""

from pathlib import Path

import numpy as np

from lgdnet import submission as submissions
from lgdnet.log import warn
from lgdnet.manifest import read_classes
from lgdnet.scores import read_scores
from lgdnet.scores.errors import check_unique
from lgdnet.scores.files import rows_of
from lgdnet.scores.labels import read_labels, read_table, rejected_ids
from lgdnet.submission import Judgement, submission_id


def run(
    scores: Path,
    manifest: Path,
    out: Path,
    *,
    rejected: Path | None = None,
    split: str | None = None,
    external_data: str = "",
) -> None:
    """Write the five best labels of every video of the manifest.

    Videos without scores, and those of `rejected`, get equal scores for the first classes: an answer must be
    given, and it is a guess that is told.
    """
    found = read_scores(scores)
    labels = read_labels(manifest)
    video_ids = labels.video_ids
    rows = rows_of(found, video_ids, manifest)
    guessed = [str(video_id) for video_id in video_ids[rows < 0]]
    if rejected is not None:
        guessed += rejected_ids(rejected, labels, split)
    uniform = np.full((len(guessed), len(found.classes)), 1 / len(found.classes), np.float32)
    if guessed:
        warn(f"{scores}: {len(guessed)} videos have no scores and get a guess, first {guessed[0]!r}")
    ids = [*video_ids[rows >= 0].tolist(), *guessed]
    check_unique(manifest, [submission_id(video_id) for video_id in ids])
    values = np.concatenate([found.scores[rows[rows >= 0]], uniform])
    made = submissions.make_submission(
        ids, values, found.classes, is_log=found.kind == "logits", external_data=external_data
    )
    submissions.write_submission(out, made)
    submissions.validate(out, ids, found.classes)


def validate(
    path: Path, manifest: Path, classes: Path, *, rejected: Path | None = None, split: str | None = None
) -> int:
    """Check a submission against the videos it must answer; a `SubmissionError` names the faults. Their number."""
    labels = read_labels(manifest)
    ids = labels.video_ids.tolist() + (rejected_ids(rejected, labels, split) if rejected else [])
    submissions.validate(path, ids, read_classes(classes))
    return len(ids)


def judge(path: Path, truth: Path, *, subset: str = "validation") -> Judgement:
    """Official ground truth JSON, or a labelled manifest CSV."""
    if truth.suffix == ".csv":
        table = read_table(truth, ("video_id", "label"), what="ground truth")
        ids = [submission_id(video_id) for video_id in table["video_id"]]
        check_unique(truth, ids)
        labels = {video_id: [label] for video_id, label in zip(ids, table["label"], strict=True)}
        submissions.check_labelled(truth, labels)
    else:
        labels = submissions.read_truth(truth, subset=subset)
    return submissions.evaluate(path, labels)
