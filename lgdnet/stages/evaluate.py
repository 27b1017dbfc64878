"""Score files of one split -> leaderboard.csv."""

from collections.abc import Sequence
from pathlib import Path

from lgdnet.artefact import digest
from lgdnet.errors import InputError
from lgdnet.history import read_history
from lgdnet.leaderboard import Result, Row, measure, write_confusions, write_leaderboard, write_per_class
from lgdnet.scores import Scores, align, read_scores
from lgdnet.scores.errors import check_classes
from lgdnet.scores.labels import Labels, check_labels, read_labels, rejected_ids


def run(
    score_files: Sequence[Path],
    manifest: Path,
    out: Path,
    *,
    rows: Sequence[Row],
    rejected: Path | None = None,
    split: str | None = None,
    streams: Path | None = None,
    per_class: Path | None = None,
    confusions: Path | None = None,
) -> None:
    """One line per score file, presented as its `Row`, in the order given; figures by class beside it.

    Videos of the split that `rejected` lists were unreadable; they count as wrong in every row. The split is that
    of the manifest's name where it is not given. `streams` is the folder of the streams, whose histories tell how
    long they trained.
    """
    if len(score_files) != len(rows):
        raise InputError(
            f"--rows: {len(rows)} rows for {len(score_files)} score files; each file needs its row"
        )
    labels = read_labels(manifest)
    num_rejected = len(rejected_ids(rejected, labels, split)) if rejected else 0
    files = [read_scores(path) for path in score_files]
    for file in files[1:]:
        check_classes(file.path, file.classes, files[0].classes, files[0].path)
    results = [
        judge(file, row, labels, num_rejected=num_rejected, streams=streams)
        for file, row in zip(files, rows, strict=True)
    ]
    write_leaderboard(out, results)
    if per_class is not None:
        write_per_class(per_class, results, files[0].classes)
    if confusions is not None:
        write_confusions(confusions, results, files[0].classes)


def training_hours(folder: Path, streams: Sequence[str]) -> dict[str, float]:
    """Hours that the streams trained, on whatever machine it was, where every one has a history."""
    histories = [folder / stream / "history.csv" for stream in streams]
    if not histories or not all(path.exists() for path in histories):
        return {}
    seconds = [float(row["seconds"] or 0) for path in histories for row in read_history(path)]
    return {"train_hours": sum(seconds) / 3600}


def judge(
    scores: Scores, row: Row, labels: Labels, *, num_rejected: int = 0, streams: Path | None = None
) -> Result:
    """The numbers of one score file on the labelled videos of a manifest, joined by id."""
    check_labels(labels, scores.classes, scores.path)
    aligned, present = align([scores], labels.video_ids, labels.path)
    return measure(
        row,
        aligned[0],
        labels.labels,
        present[0],
        num_rejected=num_rejected,
        is_log=scores.kind == "logits",
        settings_digest=digest(scores.provenance.get("settings", "")),
        code_version=scores.provenance.get("code_version", ""),
        cost={**scores.cost, **(training_hours(streams, row.streams) if streams else {})},
    )
