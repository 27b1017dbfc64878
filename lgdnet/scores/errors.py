"""What is wrong with a feature or score file, always with the file's name."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lgdnet.errors import InputError


class ScoresError(InputError):
    """A feature or score file that must not become a number."""


def check_unique(path: Path, video_ids: Sequence[str] | np.ndarray, *, what: str = "video") -> None:
    """Every id, or every class, once: a duplicate would count one twice."""
    ids, counts = np.unique(np.asarray(video_ids, dtype=str), return_counts=True)
    if (counts > 1).any():
        raise ScoresError(
            f"{path}: {what} {str(ids[counts > 1][0])!r} occurs {counts.max()} times; every {what} must stand there "
            f"once. Remove the duplicates from its list."
        )


def check_classes(path: Path, classes: Sequence[str], expected: Sequence[str], source: Path | str) -> None:
    """The same names in the same order: column k must be the same class everywhere."""
    if list(classes) == list(expected):
        return
    if sorted(classes) == sorted(expected):
        at = next(i for i, (a, b) in enumerate(zip(classes, expected, strict=True)) if a != b)
        wrong = f"the same classes in another order: column {at} is {classes[at]!r}, not {expected[at]!r}"
        cure = "Import it again with its own class list, which puts the columns in order."
    else:
        odd = sorted(set(classes) ^ set(expected))
        wrong = (
            f"{len(classes)} classes instead of {len(expected)}, first that only one of them has: {odd[0]!r}"
        )
        cure = "Scores over different class lists cannot be compared or fused."
    raise ScoresError(f"{path}: {wrong} (compared with {source}). {cure}")


def check_finite(
    path: Path,
    values: np.ndarray,
    video_ids: Sequence[str] | np.ndarray,
    what: str,
    *,
    cure: str = "Look at the training of this stream, then dump it again.",
) -> None:
    """No NaN and no infinity in (N, ...) values: they would rank anywhere."""
    bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if bad.any():
        first = str(video_ids[int(np.flatnonzero(bad)[0])])
        raise ScoresError(
            f"{path}: {what} of {int(bad.sum())} videos are NaN or infinite, first {first!r}. {cure}"
        )


def check_probabilities(path: Path, scores: np.ndarray, video_ids: Sequence[str] | np.ndarray) -> None:
    """(N, K) rows that sum to 1 and are nowhere negative."""
    wrong = (np.abs(scores.sum(axis=1) - 1) > 1e-3) | (scores < 0).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ScoresError(
            f"{path}: scores of {int(wrong.sum())} videos are no probabilities, first {str(video_ids[row])!r} with "
            f"sum {scores[row].sum():.4g}. Are they logits? Then say kind: logits."
        )


def some(ids: Iterable[str], at_most: int = 3) -> str:
    """`'a', 'b', 'c', ...`"""
    ids = list(ids)
    return ", ".join(repr(str(i)) for i in ids[:at_most]) + (", ..." if len(ids) > at_most else "")
