"""Scores of the test split -> submission.json, checked before it is written; and judging of such files."""

from pathlib import Path

import numpy as np
import pandas as pd

from lgdnet import submission as submissions
from lgdnet.log import warn
from lgdnet.scores import read_scores
from lgdnet.scores.files import rows_of
from lgdnet.scores.labels import read_labels, rejected_ids
from lgdnet.submission import Judgement, SubmissionError, submission_id


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
    values = np.concatenate([found.scores[rows[rows >= 0]], uniform])
    made = submissions.make_submission(
        ids, values, found.classes, is_log=found.kind == "logits", external_data=external_data
    )
    submissions.write_submission(out, made)
    submissions.validate(out, ids, found.classes)


def judge(path: Path, truth: Path, *, subset: str = "validation") -> Judgement:
    """Official ground truth JSON, or a labelled manifest CSV."""
    if truth.suffix == ".csv":
        table = pd.read_csv(truth, dtype=str, keep_default_na=False)
        if not {"video_id", "label"} <= set(table.columns):
            raise SubmissionError(f"{truth}: columns video_id and label are needed.")
        labels = {submission_id(v): [y] for v, y in zip(table["video_id"], table["label"], strict=True)}
    else:
        labels = submissions.read_truth(truth, subset=subset)
    return submissions.evaluate(path, labels)
