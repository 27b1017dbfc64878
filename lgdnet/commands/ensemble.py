"""From features to the leaderboard and the submission."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lgdnet.commands.table import (
    FeatureFiles,
    ManifestFile,
    Out,
    RejectedFile,
    SettingsJson,
    SplitName,
    Threads,
    app,
    wrote,
)
from lgdnet.errors import InputError


@app.command()
def fit_aggregator(
    features: FeatureFiles,
    manifest: ManifestFile,
    out: Out,
    method: Annotated[str, typer.Option(help="tcp, attention_pool, linear or multi_stream_tcp.")] = "tcp",
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Train what turns the clips of a video into one score.

    It learns from features of the training split. Files of one folder are shards of one dump; dumps of one
    checkpoint are draws of one stream.

    Example: lgdnet fit-aggregator results/sample/streams/frame16/features/train/*.h5 --manifest
    results/sample/manifest/train.csv --out try/tcp.safetensors --settings '{"width": 64}'
    """
    from lgdnet.models.aggregators import AGGREGATORS
    from lgdnet.settings import AggregationSettings, JointSettings, parse
    from lgdnet.stages import fit_aggregator as stage

    learned = [name for name, way in AGGREGATORS.items() if way.network is not None]
    if method not in learned:
        raise InputError(f"--method {method}: not learned; choose {', '.join(learned)}")
    kind = JointSettings if AGGREGATORS[method].many_streams else AggregationSettings
    stage.run(
        by_folder(features), manifest, out, method=method, settings=parse(kind, settings), threads=threads
    )
    wrote(out)


@app.command()
def aggregate(
    features: FeatureFiles,
    manifest: ManifestFile,
    out: Out,
    method: Annotated[str, typer.Option(help="average_pool, max_pool, or the name of a learned one.")] = (
        "average_pool"
    ),
    average: Annotated[
        Literal["scores", "logits"], typer.Option(help="What average_pool averages.")
    ] = "scores",
    model: Annotated[Path | None, typer.Option(help="File of fit-aggregator, for a learned one.")] = None,
    threads: Threads = 1,
) -> None:
    """Turn the views of each video into one score.

    Example: lgdnet aggregate results/sample/streams/frame16/features/validation/*.h5 --manifest
    results/sample/manifest/validation.csv --out try/scores.h5
    """
    from lgdnet.models.aggregators import AGGREGATORS
    from lgdnet.stages import aggregate as stage

    if method not in AGGREGATORS:
        raise InputError(f"--method {method}: unknown; choose {', '.join(AGGREGATORS)}")
    stage.run(by_folder(features), manifest, out, method=method, of=average, model=model, threads=threads)
    wrote(out)


@app.command()
def import_scores(
    path: Annotated[Path, typer.Argument(help="npz, npy, pkl or csv of another tool.")],
    out: Out,
    settings: SettingsJson = "{}",
    ids: Annotated[
        Path | None, typer.Option(help="Video ids in the order of the rows: one per line, or a manifest.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Class names in the order of the columns, one per line.")
    ] = None,
    class_order: Annotated[
        Path | None, typer.Option(help="classes.txt to bring the columns into the order of.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="Manifest whose videos they must be.")] = None,
) -> None:
    """Read scores of another tool, to fuse and to compare them.

    Nothing in a pickle is executed: only arrays, lists, dicts, strings and numbers are read.

    Example: lgdnet import-scores scores.npz --out senet.h5 --classes classes.txt --settings '{"scores_key":
    "scores", "ids_key": "names"}'
    """
    from lgdnet.settings import ImportSettings, parse
    from lgdnet.stages import import_scores as stage

    how = parse(ImportSettings, settings)
    stage.run(
        path, out, ids=ids, classes=classes, class_order=class_order, manifest=manifest, **how.model_dump()
    )
    wrote(out)


@app.command()
def fuse(
    scores: Annotated[list[Path], typer.Argument(help="Score files in the order of the members.")],
    manifest: ManifestFile,
    out: Out,
    fusion: Annotated[str, typer.Option(help="JSON: name, members, method, weights, of, calibrate.")],
    weights: Annotated[
        Path | None, typer.Option(help="weights.csv of the labelled split, to apply to another one.")
    ] = None,
    weights_out: Annotated[Path | None, typer.Option(help="weights.csv to write.")] = None,
    study_out: Annotated[Path | None, typer.Option(help="What each stream brings, to write.")] = None,
    rejected: RejectedFile = None,
    split: SplitName = None,
    num_folds: Annotated[int, typer.Option(min=2, help="Parts for cross-fitting.")] = 5,
    seed: Annotated[int, typer.Option(help="Deals the videos into parts.")] = 0,
) -> None:
    """Fuse score files by video id.

    Weights that are searched are cross-fitted on a labelled split.

    Example: lgdnet fuse results/sample/streams/frame16/tcp/validation.h5
    results/sample/streams/flow16/tcp/validation.h5 --manifest results/sample/manifest/validation.csv --out
    try/fused.h5 --fusion '{"name": "both", "members": ["frame", "flow"], "method": "convex"}' --weights-out
    try/weights.csv
    """
    from lgdnet.fusion import Fusion
    from lgdnet.stages import fuse as stage

    tree = Fusion.from_json(fusion)
    names = tree.streams()
    if len(names) != len(scores):
        raise InputError(
            f"--fusion: {len(names)} streams ({', '.join(names)}), but {len(scores)} score files"
        )
    stage.run(
        dict(zip(names, scores, strict=True)),
        manifest,
        out,
        fusion=tree,
        weights=weights,
        weights_out=weights_out,
        study_out=study_out,
        rejected=rejected,
        split=split,
        num_folds=num_folds,
        seed=seed,
    )
    wrote(out)


@app.command()
def evaluate(
    scores: Annotated[list[Path], typer.Argument(help="Score files, one per row of the leaderboard.")],
    manifest: ManifestFile,
    out: Out,
    rows: Annotated[
        str, typer.Option(help="JSON list: name, input, backbone, clip, aggregation of each row.")
    ],
    rejected: RejectedFile = None,
    split: SplitName = None,
    per_class: Annotated[Path | None, typer.Option(help="Table by class, to write.")] = None,
    confusions: Annotated[Path | None, typer.Option(help="Most frequent mistakes, to write.")] = None,
) -> None:
    """Judge score files on a labelled split: the leaderboard.

    Example: lgdnet evaluate results/sample/streams/frame16/tcp/validation.h5 --manifest
    results/sample/manifest/validation.csv --out try/leaderboard.csv
    --rows '[{"name": "frame16", "input": "Frame"}]'
    """
    from lgdnet.leaderboard import rows_from_json
    from lgdnet.stages import evaluate as stage

    stage.run(
        scores,
        manifest,
        out,
        rows=rows_from_json(rows),
        rejected=rejected,
        split=split,
        per_class=per_class,
        confusions=confusions,
    )
    wrote(out)


@app.command()
def submission(
    scores: Annotated[Path, typer.Argument(help="Scores of the test split.")],
    manifest: ManifestFile,
    out: Out,
    rejected: Annotated[Path | None, typer.Option(help="rejected.csv; its videos get a guess.")] = None,
    split: SplitName = None,
    external_data: Annotated[str, typer.Option(help="What data from outside was used; empty for none.")] = "",
) -> None:
    """Write submission.json, checked video by video.

    Example: lgdnet submission results/sample/fusions/ensemble/test.h5 --manifest
    results/sample/manifest/test.csv --out try/submission.json
    """
    from lgdnet.stages import submission as stage

    stage.run(scores, manifest, out, rejected=rejected, split=split, external_data=external_data)
    wrote(out)


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="submission.json, ours or another's.")],
    manifest: ManifestFile,
    classes: Annotated[Path, typer.Option(help="manifest/classes.txt: every label that may be given.")],
    rejected: Annotated[
        Path | None, typer.Option(help="rejected.csv, whose videos must be answered too.")
    ] = None,
    split: SplitName = None,
) -> None:
    """Check ids, labels and scores of a submission.

    Example: lgdnet validate results/sample/submission.json --manifest results/sample/manifest/test.csv
    --classes results/sample/manifest/classes.txt --rejected results/sample/manifest/rejected.csv
    """
    from lgdnet.stages import submission as stage

    num_videos = stage.validate(path, manifest, classes, rejected=rejected, split=split)
    print(f"{path}: all {num_videos} videos are answered as they should be")


def by_folder(files: list[Path]) -> list[list[Path]]:
    """Files of one folder are the shards of one dump, in order of first appearance."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    return list(folders.values())
