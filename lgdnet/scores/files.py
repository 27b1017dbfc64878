"""Score files: one row of class scores per video, joined by id and never by position."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

import h5py
import numpy as np

from lgdnet.artefact import atomic
from lgdnet.scores.errors import (
    ScoresError,
    check_classes,
    check_finite,
    check_probabilities,
    check_unique,
    some,
)
from lgdnet.scores.hdf5 import (
    create,
    read_attribute,
    read_text,
    reading,
    write_array,
    write_attributes,
    write_text,
)
from lgdnet.softmax import softmax

FORMAT = "lgdnet-scores-2"
Kind = Literal["scores", "logits"]
Networks = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Scores:
    """The scores of one split under one stream or fusion. N videos with scores, K classes.

    `kind` is `scores` (after softmax, rows sum to 1) or `logits` of any offset: our own files hold logarithms of
    scores, so that nothing is lost to underflow. `absent` are ids that are known to have no scores (no sound track):
    any other video that a manifest has and this file has not is an error.

    `networks` are all networks behind the scores, each once, by the digest of its file, with what it costs:
    `parameters`, `gflops_per_clip`. Empty where that is not known.
    """

    path: Path
    video_ids: np.ndarray  # (N,) str
    scores: np.ndarray  # (N, K) float32
    classes: list[str]
    kind: Kind = "scores"
    absent: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=str))  # (A,) str
    provenance: dict[str, str] = field(default_factory=dict)
    networks: Networks = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def cost(self) -> dict[str, float]:
        """Sums over all networks, of what every one of them states."""
        costs = list(self.networks.values())
        keys = set.intersection(*map(set, costs)) if costs else set()
        return {key: sum(cost[key] for cost in costs) for key in sorted(keys)}

    def probabilities(self) -> np.ndarray:
        """(N, K) rows that sum to 1, whatever the kind."""
        return self.scores if self.kind == "scores" else softmax(self.scores)


def write_scores(
    path: Path,
    video_ids: Sequence[str] | np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    *,
    provenance: Mapping[str, str],
    kind: Kind = "scores",
    absent: Sequence[str] | np.ndarray = (),
    networks: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Write (N, K) scores of N videos; a `ScoresError`, not a file, for NaN, duplicates or bad sums."""
    video_ids, absent = np.asarray(video_ids, dtype=str), np.asarray(absent, dtype=str)
    scores = np.ascontiguousarray(scores, np.float32)
    _check_content(path, video_ids, scores, list(classes), kind, absent)
    with atomic(path) as tmp, create(tmp) as h5:
        write_array(h5, "scores", scores, 256)
        write_text(h5, "video_id", video_ids)
        write_text(h5, "absent", absent)
        write_text(h5, "classes", list(classes))
        about = {"format": FORMAT, "kind": kind, "networks": json.dumps(dict(networks or {}), sort_keys=True)}
        write_attributes(h5, {**about, **provenance})
        h5.attrs["complete"] = len(scores)  # last: a file without it is not whole


def read_scores(path: Path) -> Scores:
    """Read and check a score file. Every fault is a `ScoresError` that names it."""
    path = Path(path)
    if not path.exists():
        raise ScoresError(f"{path}: no such score file. Rerun snakemake to make it.")
    cure = "Delete it and rerun snakemake to make it again."
    with reading(path, cure), h5py.File(path, "r", locking=False) as h5:
        found_format = read_attribute(h5, "format", "")
        if found_format == "lgdnet-scores-1":
            raise ScoresError(f"{path}: made by an older version. {cure} Features are read as they are.")
        if found_format != FORMAT:
            raise ScoresError(f"{path}: not a score file ({FORMAT}); foreign files come in by import-scores.")
        if h5.attrs.get("complete", -1) != len(h5["scores"]) or len(h5["scores"]) != len(h5["video_id"]):
            raise ScoresError(f"{path}: not complete. {cure}")
        found = Scores(
            path=path,
            video_ids=read_text(h5, "video_id"),
            scores=h5["scores"][:],
            classes=read_text(h5, "classes").tolist(),
            kind=_kind(read_attribute(h5, "kind")),
            absent=read_text(h5, "absent"),
            provenance={key: read_attribute(h5, key) for key in PROVENANCE if key in h5.attrs},
            networks=json.loads(read_attribute(h5, "networks")),
        )
    _check_content(path, found.video_ids, found.scores, found.classes, found.kind, found.absent)
    return found


PROVENANCE = ("settings", "inputs", "code_version")


def align(
    streams: Sequence[Scores], video_ids: np.ndarray, source: Path, *, first: Scores | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of S streams, as stored, in the order of `video_ids`: (S, N, K) float32, (S, N) bool present.

    Joined by id. Classes must be those of `first` (else of the first stream). Rows of absent videos
    are zero. A `ScoresError` where classes differ, where a stream lacks a video of `source` that it does not list
    as absent, or has one that `source` has not.
    """
    reference = first or streams[0]
    video_ids = np.asarray(video_ids, dtype=str)
    aligned = np.zeros((len(streams), len(video_ids), len(streams[0].classes)), np.float32)
    present = np.zeros((len(streams), len(video_ids)), bool)
    for s, stream in enumerate(streams):
        check_classes(stream.path, stream.classes, reference.classes, reference.path)
        rows = rows_of(stream, video_ids, source)
        present[s] = rows >= 0
        aligned[s, present[s]] = stream.scores[rows[present[s]]]
    return aligned, present


def rows_of(stream: Scores, video_ids: np.ndarray, source: Path) -> np.ndarray:
    """(N,) row of each id in the stream's arrays, -1 where the stream lists the video as absent.

    Both must have the same videos: with fewer, a number would be of another split than its name says.
    """
    where = {video_id: row for row, video_id in enumerate(stream.video_ids.tolist())}
    where |= dict.fromkeys(stream.absent.tolist(), -1)
    missing = [video_id for video_id in video_ids.tolist() if video_id not in where]
    unknown = sorted(set(where) - set(video_ids.tolist()))
    if unknown and not missing:
        raise ScoresError(
            f"{stream.path}: {len(unknown)} of its {len(where)} videos are not in {source}, first {some(unknown)}. "
            f"Is that the manifest of this split, and as old as the scores? Rerun snakemake to make both fit."
        )
    if missing:
        raise ScoresError(
            f"{stream.path}: no scores for {len(missing)} of {len(video_ids)} videos in {source}, first "
            f"{some(missing)}. Delete the file and rerun snakemake to make it again; a foreign file must "
            f"list the videos it lacks when it is imported."
        )
    return np.fromiter((where[video_id] for video_id in video_ids.tolist()), np.int64, len(video_ids))


def networks_of(files: Sequence[Scores]) -> Networks:
    """All networks behind several score files; nothing where one of them is from outside."""
    if not all(file.networks for file in files):
        return {}
    return {digest: cost for file in files for digest, cost in file.networks.items()}


def _check_content(
    path: Path, video_ids: np.ndarray, scores: np.ndarray, classes: list[str], kind: str, absent: np.ndarray
) -> None:
    if scores.shape != (len(video_ids), len(classes)):
        raise ScoresError(
            f"{path}: scores of shape {scores.shape} for {len(video_ids)} videos and {len(classes)} classes."
        )
    check_unique(path, np.concatenate([video_ids, absent]) if len(absent) else video_ids)
    check_finite(path, scores, video_ids, "scores")
    if kind == "scores":
        check_probabilities(path, scores, video_ids)


def _kind(text: str) -> Kind:
    if text not in get_args(Kind):
        raise ValueError(f"kind {text!r}")
    return cast(Kind, text)
