"""ActivityNet's JSON: the official ground truth that its evaluation server reads, and the ids of a submission."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lgdnet.artefact import write_text
from lgdnet.datasets.rows import AnnotationError, check_file

VERSION = "KINETICS VERSION 1.0"


def write_ground_truth(
    path: Path, videos: pd.DataFrame, classes: list[str], *, version: str = VERSION
) -> None:
    """`database[id] = {"subset", "annotations": [{"label"}]}`, with `taxonomy` and `version` beside it.

    `videos` has the columns video_id, label ("" where unlabelled) and split. Splits are called training,
    validation and testing, as in the official files.
    """
    names = {"train": "training", "test": "testing"}
    database = {
        video_id: {"subset": names.get(split, split), "annotations": [{"label": label}] if label else []}
        for video_id, label, split in zip(videos["video_id"], videos["label"], videos["split"], strict=True)
    }
    root = {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}
    taxonomy = [root] + [
        {"nodeId": i, "nodeName": name, "parentId": 0, "parentName": "Root"}
        for i, name in enumerate(classes, 1)
    ]
    document = {"version": version, "taxonomy": taxonomy, "database": database}
    write_text(path, json.dumps(document, ensure_ascii=False) + "\n")


def read_ground_truth(path: Path) -> pd.DataFrame:
    """Columns video_id, label ("" where unlabelled; the first where there are several), split, row."""
    database = read_object(path).get("database")
    if not isinstance(database, dict):
        raise AnnotationError(f"{path}: no 'database' in it. Is this the ground truth file?")
    rows = []
    for row, (video_id, entry) in enumerate(database.items(), 1):
        try:
            labels = [str(a["label"]) for a in entry["annotations"]]
            rows.append((str(video_id), labels[0] if labels else "", str(entry["subset"]), row))
        except (KeyError, TypeError):
            raise AnnotationError(
                f"{path}: row {row}: entry {video_id!r} has no subset or no annotations. Correct the entry."
            ) from None
    return pd.DataFrame(rows, columns=["video_id", "label", "split", "row"])


def read_predictions(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Video ids, labels in alphabetical order, and scores (videos, labels), NaN where a label was not named."""
    results = read_object(path).get("results")
    if not isinstance(results, dict):
        raise AnnotationError(f"{path}: no 'results' in it. Is this a submission?")
    try:
        triples = [(v, str(p["label"]), float(p["score"])) for v, named in results.items() for p in named]
    except (KeyError, TypeError, ValueError):
        raise AnnotationError(
            f"{path}: a result is not a list of label and score. Correct the file."
        ) from None
    labels = sorted({label for _, label, _ in triples})
    column, row = {name: i for i, name in enumerate(labels)}, {name: i for i, name in enumerate(results)}
    scores = np.full((len(results), len(labels)), np.nan)
    for video_id, label, score in triples:
        scores[row[video_id], column[label]] = score
    return list(results), labels, scores


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object."""
    check_file(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON ({error}). Download it again.") from None
    if not isinstance(document, dict):
        raise AnnotationError(f"{path}: not a JSON object. Download it again.")
    return document
