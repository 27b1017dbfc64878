"""submission.json of the Kinetics challenge: write, check, and judge as the official script does."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lgdnet.artefact import write_json
from lgdnet.errors import InputError
from lgdnet.metrics import top_classes
from lgdnet.softmax import log_softmax

VERSION = "KINETICS VERSION 1.0"
MAX_LABELS = 5
KINETICS_ID = re.compile(r"(.{11})_(\d{6})_(\d{6})")


class SubmissionError(InputError):
    """A submission or a ground truth that the official script would not take."""


def submission_id(video_id: str) -> str:
    """Times without zero padding: `p76-UdadD7w_000047_000057` -> `p76-UdadD7w_47_57`; other ids as they are."""
    found = KINETICS_ID.fullmatch(video_id)
    return f"{found[1]}_{int(found[2])}_{int(found[3])}" if found else video_id


def make_submission(
    video_ids: Sequence[str] | np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    *,
    is_log: bool = False,
    external_data: str = "",
) -> dict[str, Any]:
    """The five best classes of each video, best first, from (N, K) scores, or logits of any offset with `is_log`.

    Logits are written as probabilities, in the order that they had as logits. The official script sorts by score and leaves ties to chance, so equal scores are set apart by one unit in
    the last place: its order is then ours.
    """
    best = top_classes(scores, MAX_LABELS)
    rows = np.exp(log_softmax(scores).astype(float)) if is_log else scores
    results = {}
    for video_id, row, order in zip(np.asarray(video_ids).tolist(), rows, best, strict=True):
        values = [float(row[k]) for k in order]
        for i in range(1, len(values)):
            values[i] = min(values[i], float(np.nextafter(values[i - 1], -np.inf)))
        labels = [classes[k] for k in order]
        results[submission_id(video_id)] = [
            {"label": label, "score": value} for label, value in zip(labels, values, strict=True)
        ]
    assert len(results) == len(scores), "two ids that are one without zeros in front"
    return {
        "version": VERSION,
        "results": results,
        "external_data": {"used": bool(external_data), "details": external_data},
    }


def write_submission(path: Path, submission: Mapping[str, Any]) -> None:
    """The file to upload."""
    write_json(path, submission)


def read_json(path: Path) -> Any:
    """What a JSON file holds. A key that occurs twice is an error: a reader would keep either."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise SubmissionError(f"{path}: the key {twice!r} occurs twice in one object; keep one of them.")
        return found

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except FileNotFoundError:
        raise SubmissionError(f"{path}: no such file.") from None
    except SubmissionError:
        raise
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{path}: not JSON ({error}).") from None


def validate(path: Path, video_ids: Sequence[str] | np.ndarray, classes: Sequence[str]) -> None:
    """Every id, label and score of a submission, or a `SubmissionError` with the first ten faults."""
    submission = read_json(path)
    if not isinstance(submission, dict):
        raise SubmissionError(
            f"{path}: not a submission; an object with version, results, external_data is needed."
        )
    missing = sorted({"version", "results", "external_data"} - set(submission))
    if missing:
        raise SubmissionError(f"{path}: no {', '.join(missing)}; the official script needs all three fields.")
    faults = _faults(submission, [submission_id(str(video_id)) for video_id in video_ids], set(classes))
    if faults:
        more = f", and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise SubmissionError(f"{path}: {'; '.join(faults[:10])}{more}.")


def _faults(submission: Mapping[str, Any], video_ids: Sequence[str], classes: set[str]) -> list[str]:
    faults = [] if submission["version"] == VERSION else [f"version is not {VERSION!r}"]
    external = submission["external_data"]
    if not isinstance(external, dict) or not isinstance(external.get("used"), bool):
        faults.append("external_data has no `used: true` or `false`")
    elif external["used"] and not external.get("details"):
        faults.append("external_data is used but has no details")
    results = submission["results"]
    if not isinstance(results, dict):
        return [*faults, "results is not an object of video ids"]
    faults += [f"video {video_id!r} is missing" for video_id in video_ids if video_id not in results]
    expected = set(video_ids)
    for video_id, answers in results.items():
        if video_id not in expected:
            faults.append(f"video {video_id!r} is not in the test list")
        elif fault := _answer_fault(answers, classes):
            faults.append(f"video {video_id!r} {fault}")
    return faults


def _answer_fault(answers: Any, classes: set[str]) -> str:
    if not isinstance(answers, list) or not 1 <= len(answers) <= MAX_LABELS:
        return f"needs 1 to {MAX_LABELS} labels"
    labels = [answer.get("label") if isinstance(answer, dict) else None for answer in answers]
    unknown = [label for label in labels if not isinstance(label, str) or label not in classes]
    if unknown:
        return f"has the unknown label {unknown[0]!r}"
    if len(set(labels)) < len(labels):
        return "has a label twice"
    if not all(_is_number(answer.get("score")) for answer in answers):
        return "has a score that is no finite number"
    return ""


def _is_number(score: Any) -> bool:
    """A finite one that fits a float; JSON may hold NaN and integers of any length."""
    if isinstance(score, bool) or not isinstance(score, int | float):
        return False
    try:
        return math.isfinite(score)
    except OverflowError:
        return False


class Judgement(NamedTuple):
    """Fractions; `missing` videos have no answer and count as wrong."""

    top1: float
    top5: float
    avg_error: float
    num_videos: int
    num_missing: int


def evaluate(path: Path, truth: Mapping[str, Sequence[str]]) -> Judgement:
    """hit@1, hit@5 and average error of a submission, ours or another's, as the official script computes them.

    `truth` maps each id to its labels, at least one; a hit is any of them among the k labels of highest score.
    """
    submission = read_json(path)
    results = submission.get("results") if isinstance(submission, dict) else None
    if not isinstance(results, dict):
        raise SubmissionError(f"{path}: no results; is this a submission?")
    if not truth:
        raise SubmissionError(f"{path}: the ground truth has no videos of this split.")
    num_missing = sum(video_id not in results for video_id in truth)
    if num_missing == len(truth):
        raise SubmissionError(
            f"{path}: none of its {len(results)} videos is among the {len(truth)} of the ground truth, whose first is "
            f"{next(iter(truth))!r}. Is it of another split?"
        )
    hits = np.zeros((len(truth), 2))
    for i, (video_id, labels) in enumerate(truth.items()):
        ranked = _ranked(path, video_id, results.get(video_id, []))
        hits[i] = [bool(set(labels) & set(ranked[:k])) for k in (1, 5)]
    top1, top5 = hits.mean(axis=0)
    return Judgement(float(top1), float(top5), float(1 - (top1 + top5) / 2), len(truth), num_missing)


def _ranked(path: Path, video_id: str, answers: Any) -> list[str]:
    """Labels of one video, best first. Numbers may be written as text; the official script takes those too."""
    try:
        scores = np.array([float(answer["score"]) for answer in answers])
        labels = [str(answer["label"]) for answer in answers]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise SubmissionError(f"{path}: video {video_id!r} has an answer without label and score.") from None
    if not np.isfinite(scores).all():
        raise SubmissionError(f"{path}: video {video_id!r} has a score that is no finite number.")
    return [labels[j] for j in np.argsort(scores, kind="stable")[::-1]]


def read_truth(path: Path, *, subset: str = "validation") -> dict[str, list[str]]:
    """Official ground truth JSON: `database[id] = {"subset": ..., "annotations": [{"label": ...}]}`."""
    data = read_json(path)
    try:
        truth = {
            video_id: [annotation["label"] for annotation in entry["annotations"]]
            for video_id, entry in data["database"].items()
            if entry["subset"] == subset
        }
    except (KeyError, TypeError, AttributeError):
        raise SubmissionError(
            f"{path}: not a ground truth; database[id] needs subset and annotations."
        ) from None
    check_labelled(path, truth)
    return truth


def check_labelled(path: Path, truth: Mapping[str, Sequence[str]]) -> None:
    """Every video of a ground truth has a label: one without would count as wrong whatever the answer."""
    unlabelled = [video_id for video_id, labels in truth.items() if not any(labels)]
    if unlabelled:
        raise SubmissionError(
            f"{path}: {len(unlabelled)} of {len(truth)} videos have no label, first {unlabelled[0]!r}, so nothing can "
            f"be judged by it. Use a labelled split."
        )
