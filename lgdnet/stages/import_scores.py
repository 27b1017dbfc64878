"""Scores of other tools -> a score file that can be fused and put on the leaderboard."""

from pathlib import Path
from typing import Literal

import numpy as np

from lgdnet.artefact import file_digest, provenance
from lgdnet.log import say
from lgdnet.scores import ScoresError, write_scores
from lgdnet.scores.errors import check_finite, check_probabilities, check_unique, some
from lgdnet.scores.foreign import Foreign, read_foreign
from lgdnet.scores.labels import Labels, check_class_order, read_labels


def run(
    path: Path,
    out: Path,
    *,
    ids: Path | None = None,
    classes: Path | None = None,
    class_order: Path | None = None,
    manifest: Path | None = None,
    kind: Literal["auto", "scores", "logits"] = "auto",
    scores_key: str | None = None,
    ids_key: str | None = None,
    classes_key: str | None = None,
    stem: bool = False,
    allow_missing: bool = False,
) -> None:
    """Import one file.

    Ids come from the file (`ids_key`, keys of a dict, first column of a csv) or from `ids`: a text file with one
    per line, or a manifest. Classes come from the file or from `classes`, in the order of the columns;
    `class_order` puts columns into the order of another list. `stem` reduces ids like `a/b.avi` to `b`. With
    `manifest` the ids must be its ids; `allow_missing` records those that have no scores as absent.
    """
    found = read_foreign(path, scores_key=scores_key, ids_key=ids_key, classes_key=classes_key)
    video_ids = _ids(path, found, ids)
    if stem:
        video_ids = np.array([Path(video_id).stem for video_id in video_ids.tolist()], dtype=str)
    names = _classes(path, found, classes)
    values = found.values
    if class_order is not None:
        values, names = _reorder(path, values, names, _lines(class_order))
    check_unique(path, video_ids)
    check_finite(path, values, video_ids, "scores", cure="Correct or remove them.")
    if kind == "auto":
        kind = _kind(path, values)
        say(f"{path}: read as {kind}")
    if kind == "scores":  # other tools round: bring sums to 1 within what write_scores accepts
        sums = values.sum(axis=1, keepdims=True)
        values = np.where(np.abs(sums - 1) < 0.01, values / sums, values)
        check_probabilities(path, values, video_ids)
    absent = np.zeros(0, str)
    if manifest is not None:
        labels = read_labels(manifest)
        check_class_order(labels, names, path)
        absent = _absent(path, video_ids, labels, allow_missing=allow_missing)
    write_scores(
        out,
        video_ids,
        values,
        names,
        kind=kind,
        absent=absent,
        provenance=provenance(
            {"imported": path.name, "array": scores_key, "kind": kind}, {path.name: file_digest(path)}
        ),
    )


def _ids(path: Path, found: Foreign, ids: Path | None) -> np.ndarray:
    if ids is None:
        if found.video_ids is None:
            raise ScoresError(
                f"{path}: no video ids in the file; give --ids with one per line, in its order."
            )
        video_ids = found.video_ids
    elif ids.suffix == ".csv":
        video_ids = read_labels(ids).video_ids
    else:
        video_ids = np.array(_lines(ids), dtype=str)
    if len(video_ids) != len(found.values):
        raise ScoresError(
            f"{ids or path}: {len(video_ids)} ids for {len(found.values)} rows of scores in {path}."
        )
    return video_ids


def _classes(path: Path, found: Foreign, classes: Path | None) -> list[str]:
    names = found.classes if classes is None else _lines(classes)
    if names is None:
        raise ScoresError(f"{path}: no class names in the file; give --classes in the order of its columns.")
    if len(names) != found.values.shape[1]:
        raise ScoresError(
            f"{classes or path}: {len(names)} classes for {found.values.shape[1]} columns of scores in {path}."
        )
    check_unique(classes or path, names, what="class")
    return names


def _reorder(
    path: Path, values: np.ndarray, names: list[str], order: list[str]
) -> tuple[np.ndarray, list[str]]:
    odd = sorted(set(names) ^ set(order))
    if odd:
        raise ScoresError(
            f"{path}: its classes are not those of --class-order, first difference {some(odd, 1)}."
        )
    return values[:, [names.index(name) for name in order]], order


def _kind(path: Path, values: np.ndarray) -> Literal["scores", "logits"]:
    """Rows that are nowhere negative and sum to 1 are probabilities; what looks like both is an error."""
    sums = values.sum(axis=1)
    if len(values) and (values >= 0).all():
        if (np.abs(sums - 1) < 0.01).all():
            return "scores"
        percent = (np.abs(sums - 100) < 1).all()
        if percent or (values <= 1).all():
            raise ScoresError(
                f"{path}: its numbers lie within {'0..100' if percent else '0..1'} but its rows do not sum to 1, the "
                f"first to {sums[0]:.4g}. Percentages, or probabilities of the best classes only? Bring the sums to 1, "
                f"or say kind: logits if they are to be taken as logits."
            )
    return "logits"


def _absent(path: Path, video_ids: np.ndarray, labels: Labels, *, allow_missing: bool) -> np.ndarray:
    """Ids of the manifest that the file has no scores for."""
    expected, manifest = labels.video_ids, labels.path
    unknown = sorted(set(video_ids.tolist()) - set(expected.tolist()))
    missing = sorted(set(expected.tolist()) - set(video_ids.tolist()))
    if unknown:
        raise ScoresError(
            f"{path}: {len(unknown)} of its {len(video_ids)} ids are not in {manifest}, first {some(unknown, 1)}, "
            f"and {len(missing)} of the manifest are not in it{', first ' + some(missing, 1) if missing else ''}. "
            f"Are they spelt otherwise? Give --ids with the manifest's spelling, in the order of the file."
        )
    if missing and not allow_missing:
        raise ScoresError(
            f"{path}: no scores for {len(missing)} of {len(expected)} videos in {manifest}, first {some(missing)}. "
            f"With --allow-missing they are recorded as missing, and count as wrong."
        )
    return np.array(missing, dtype=str)


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such file; it should hold one name per line.") from None
