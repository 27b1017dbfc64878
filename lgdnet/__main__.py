"""The command line: a table of stages, in the order of the workflow."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lgdnet.errors import InputError

app = typer.Typer(
    name="lgdnet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Action recognition challenges, stage by stage. The workflow calls these; each also works by hand.",
)

START, STAGES, LOOKING = "Begin", "Stages, in the order of the workflow", "Look at results"

FeatureFiles = Annotated[
    list[Path], typer.Argument(help="Feature files of all shards, of one or more dumps.")
]
Out = Annotated[Path, typer.Option(help="File to write; it appears only when it is whole.")]
SettingsJson = Annotated[
    str, typer.Option("--settings", help="JSON of the settings that differ from their defaults.")
]
ManifestFile = Annotated[Path, typer.Option(help="manifest/{split}.csv of the manifest stage.")]
VideoRoot = Annotated[Path, typer.Option(help="Folder that the paths of the manifest start from.")]
Stored = Annotated[
    list[Path], typer.Option(help="File of the flow or audio stage; once for each shard. For such streams.")
]
Threads = Annotated[int, typer.Option(min=1, help="CPU cores to use.")]
Shard = Annotated[int, typer.Option(min=0, help="Which part of the manifest, from 0.")]
NumShards = Annotated[int, typer.Option(min=1, help="Into how many parts it is cut.")]


@app.command(rich_help_panel=START)
def sample(
    out: Annotated[Path, typer.Option(help="Folder to fill.")] = Path("data/sample"),
    seed: Annotated[int, typer.Option(help="Another seed draws other videos.")] = 0,
    threads: Threads = 2,
) -> None:
    """Render the sample challenge: 350 short videos with sound, and their lists.

    Example: lgdnet sample --out data/sample
    """
    from lgdnet.stages import sample as stage

    stage.run(out, seed=seed, num_workers=threads)


@app.command(rich_help_panel=START)
def schema(
    markdown: Annotated[bool, typer.Option(help="The reference for people instead, as Markdown.")] = False,
) -> None:
    """Print the JSON schema of config.yaml, for editors.

    Example: lgdnet schema
    """
    from lgdnet.settings import json_schema, reference

    print(reference() if markdown else json_schema(), end="")


@app.command(rich_help_panel=STAGES)
def manifest(
    dataset: Annotated[str, typer.Option(help="JSON of the dataset settings.")],
    out: Annotated[
        Path, typer.Option(help="Folder to write: {split}.csv, rejected.csv, health.csv, classes.txt.")
    ],
    data_root: Annotated[Path, typer.Option(help="Where relative paths of the data set start.")] = Path(),
    settings: SettingsJson = "{}",
    probes: Annotated[
        list[Path] | None, typer.Option(help="File of the probe stage; once for each shard.")
    ] = None,
    threads: Threads = 1,
) -> None:
    """Read the annotations and check every video once; list the broken ones with the reason.

    Example: lgdnet manifest --dataset '{"format": "kinetics-csv", "annotations": {"train":
    "data/sample/train.csv"}, "video_root": "data/sample/videos"}' --out results/sample/manifest
    """
    from lgdnet.settings import DatasetSettings, ManifestSettings, parse
    from lgdnet.stages import manifest as stage

    stage.run(
        parse(DatasetSettings, dataset),
        parse(ManifestSettings, settings),
        data_root,
        out,
        probes=probes or [],
        num_workers=threads,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def probe(
    dataset: Annotated[str, typer.Option(help="JSON of the dataset settings.")],
    out: Out,
    shard: Shard = 0,
    num_shards: NumShards = 1,
    data_root: Annotated[Path, typer.Option(help="Where relative paths of the data set start.")] = Path(),
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Check one part of the videos, for `manifest` to put together. Run it again after an interruption: it goes on.

    Example: lgdnet probe --dataset '{"format": "kinetics-csv", "annotations": {"train":
    "data/sample/train.csv"}, "video_root": "data/sample/videos"}' --shard 0 --num-shards 8 --out 0000.jsonl
    """
    from lgdnet.settings import DatasetSettings, ManifestSettings, parse
    from lgdnet.stages import manifest as stage

    stage.probe_shard(
        parse(DatasetSettings, dataset),
        parse(ManifestSettings, settings),
        data_root,
        out,
        shard=shard,
        num_shards=num_shards,
        num_workers=threads,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def media(
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Annotated[
        Path, typer.Option(help="media/{split}/{shard}.csv; the videos go into a folder beside it.")
    ],
    shard: Shard = 0,
    num_shards: NumShards = 1,
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Transcode videos for quick random access. Run it again after an interruption: it goes on.

    Example: lgdnet media --manifest results/sample/manifest/train.csv --video-root data/sample/videos
    --settings '{"short_side": 128}' --threads 2 --out results/sample/media/train/0000.csv
    """
    from lgdnet.settings import MediaSettings, parse
    from lgdnet.stages import media as stage

    stage.run(
        manifest,
        video_root,
        out,
        parse(MediaSettings, settings),
        shard=shard,
        num_shards=num_shards,
        num_workers=threads,
    )
    wrote(out)


@app.command("media-manifest", rich_help_panel=STAGES)
def media_manifest(
    shards: Annotated[list[Path], typer.Argument(help="Files of all shards of the media stage, in order.")],
    manifest: ManifestFile,
    out: Out,
) -> None:
    """Join the shards of the media stage to the manifest of the transcoded videos.

    Example: lgdnet media-manifest results/sample/media/train/*.csv --manifest results/sample/manifest/train.csv
    --out results/sample/media/train.csv
    """
    from lgdnet.stages import media as stage

    stage.collect(shards, manifest, out)
    wrote(out)


@app.command(rich_help_panel=STAGES)
def cache(
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    shard: Shard = 0,
    num_shards: NumShards = 1,
    settings: SettingsJson = "{}",
) -> None:
    """Decode videos once and keep their frames as JPEG, for small clusters and slow disks.

    Example: lgdnet cache --manifest results/sample/manifest/train.csv --video-root data/sample/videos
    --settings '{"short_side": 64}' --out results/sample/cache/train/0000.h5
    """
    from lgdnet.settings import CacheSettings, parse
    from lgdnet.stages import cache as stage

    stage.run(manifest, video_root, out, parse(CacheSettings, settings), shard=shard, num_shards=num_shards)
    wrote(out)


@app.command(rich_help_panel=STAGES)
def convert(
    manifests: Annotated[list[Path], typer.Argument(help="manifest/{split}.csv of one or more splits.")],
    classes: Annotated[Path, typer.Option(help="classes.txt of the manifest stage.")],
    out: Annotated[Path, typer.Option(help="Folder to fill.")],
    to: Annotated[str, typer.Option(help="mmaction2 or activitynet.")] = "mmaction2",
) -> None:
    """Write the manifests as MMAction2 lists, or as the official ActivityNet ground truth.

    Example: lgdnet convert results/sample/manifest/validation.csv --classes
    results/sample/manifest/classes.txt --to activitynet --out converted
    """
    from lgdnet.stages import convert as stage

    stage.run(manifests, classes, out, to=to)
    wrote(out)


@app.command(rich_help_panel=LOOKING)
def folds(
    leaderboards: Annotated[list[Path], typer.Argument(help="leaderboard.csv of each fold.")],
    out: Out,
) -> None:
    """Mean and deviation of every row over several folds.

    Example: lgdnet folds results/ucf101-fold*/leaderboard.csv --out results/ucf101/folds.csv
    """
    from lgdnet.stages import folds as stage

    stage.run(leaderboards, out)
    wrote(out)


@app.command("bench-data", rich_help_panel=LOOKING)
def bench_data(
    config: Annotated[Path, typer.Argument(help="Challenge file whose manifest is made.")],
    stream: Annotated[str | None, typer.Option(help="A frame stream; the first one without it.")] = None,
) -> None:
    """How fast clips can be fed on this machine, step by step, and what bounds training.

    Example: lgdnet bench-data config.yaml
    """
    from lgdnet.stages import bench_data as stage

    stage.run(config, stream=stream)


@app.command(rich_help_panel=STAGES)
def flow(
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    shard: Shard = 0,
    num_shards: NumShards = 1,
    settings: SettingsJson = "{}",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    threads: Threads = 1,
) -> None:
    """Compute optical flow, decoding each video once. Run it again after an interruption: it goes on.

    Example: lgdnet flow --manifest results/sample/manifest/train.csv --video-root data/sample/videos
    --settings '{"short_side": 64, "bound": 8}' --threads 2 --out results/sample/flow/train/0000.h5
    """
    from lgdnet.settings import FlowSettings, parse
    from lgdnet.stages import flow as stage

    stage.run(
        manifest=manifest,
        video_root=video_root,
        out=out,
        shard=shard,
        num_shards=num_shards,
        settings=parse(FlowSettings, settings),
        threads=threads,
        device=device,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def fit_check(
    config: Annotated[Path, typer.Argument(help="Challenge file, such as config.yaml.")],
    stream: Annotated[str, typer.Argument(help="Name of a stream in it.")],
    data_root: Annotated[Path | None, typer.Option(help="Instead of the file's data_root.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the results; the manifest must be there.")] = Path(
        "results"
    ),
    threads: Threads = 1,
) -> None:
    """Train a stream for a few steps; print memory, clips per second and hours for the whole schedule.

    Example: lgdnet fit-check config.yaml frame16
    """
    from lgdnet.stages import fit_check as stage

    stage.run(config, stream, data_root=data_root, results=results, threads=threads)


@app.command(rich_help_panel=STAGES)
def audio(
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    shard: Annotated[int, typer.Option(min=0, help="Which part of the manifest, from 0.")] = 0,
    num_shards: Annotated[int, typer.Option(min=1, help="Into how many parts it is cut.")] = 1,
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Write the log-mel frames of every video's sound to HDF5; no sound and silence are recorded.

    Example: lgdnet audio --manifest results/sample/manifest/train.csv --video-root data/sample/videos
    --out results/sample/audio/train/0000.h5
    """
    from lgdnet.settings import AudioSettings, parse
    from lgdnet.stages import audio as stage

    stage.run(
        manifest=manifest,
        video_root=video_root,
        out=out,
        shard=shard,
        num_shards=num_shards,
        settings=parse(AudioSettings, settings),
        num_workers=threads,
    )


@app.command(rich_help_panel=STAGES)
def train(
    manifest: ManifestFile,
    validation: Annotated[Path, typer.Option(help="Manifest of the split that is watched while training.")],
    classes: Annotated[Path, typer.Option(help="classes.txt of the manifest stage.")],
    video_root: VideoRoot,
    out: Out,
    init: Annotated[Path | None, typer.Option(help="model.safetensors of the stream to start from.")] = None,
    stored: Stored = [],  # noqa: B006
    stored_validation: Stored = [],  # noqa: B006
    flow_settings: Annotated[str, typer.Option(help="JSON of the settings of the flow stage.")] = "{}",
    settings: SettingsJson = "{}",
    threads: Threads = 1,
    num_workers: Annotated[
        int | None, typer.Option(help="Loader processes; all cores on a GPU, half of them on a CPU.")
    ] = None,
) -> None:
    """Train one stream. Run it again after an interruption: it goes on at the exact step.

    Example: lgdnet train --manifest results/sample/manifest/train.csv --validation
    results/sample/manifest/validation.csv --classes results/sample/manifest/classes.txt --video-root
    data/sample/videos --settings '{"backbone": "lgd-p3d-resnet18", "width": 16, "short_side": 64,
    "crop": 56}' --out results/sample/streams/frame16/model.safetensors
    """
    from lgdnet.settings import FlowSettings, StreamSettings, parse
    from lgdnet.stages import train as stage

    stage.run(
        manifest=manifest,
        validation=validation,
        classes=classes,
        video_root=video_root,
        out=out,
        settings=parse(StreamSettings, settings),
        init=init,
        stored=stored,
        stored_validation=stored_validation,
        flow_settings=parse(FlowSettings, flow_settings),
        threads=threads,
        num_workers=num_workers,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def dump(
    model: Annotated[Path, typer.Option(help="model.safetensors of the train stage.")],
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    shard: Shard = 0,
    num_shards: NumShards = 1,
    draw: Annotated[int, typer.Option(min=0, help="Another number puts the clips elsewhere.")] = 0,
    stored: Stored = [],  # noqa: B006
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Write features and logits of every view of every video to HDF5.

    Example: lgdnet dump --model results/sample/streams/frame16/model.safetensors --manifest
    results/sample/manifest/validation.csv --video-root data/sample/videos --out features.h5
    """
    from lgdnet.settings import DumpSettings, parse
    from lgdnet.stages import dump as stage

    stage.run(
        model=model,
        manifest=manifest,
        video_root=video_root,
        out=out,
        shard=shard,
        num_shards=num_shards,
        draw=draw,
        settings=parse(DumpSettings, settings),
        stored=stored,
        threads=threads,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def fit_aggregator(
    features: FeatureFiles,
    manifest: ManifestFile,
    out: Out,
    method: Annotated[str, typer.Option(help="tcp, attention_pool, linear or multi_stream_tcp.")] = "tcp",
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Train a network that turns the clips of a video into one score, from features of the training split.

    Files of one folder are shards of one dump; dumps of one checkpoint are draws of one stream.

    Example: lgdnet fit-aggregator results/sample/streams/frame16/features/train/*.h5 --manifest
    results/sample/manifest/train.csv --out tcp.safetensors --settings '{"width": 64}'
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


@app.command(rich_help_panel=STAGES)
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
    results/sample/manifest/validation.csv --out scores.h5
    """
    from lgdnet.models.aggregators import AGGREGATORS
    from lgdnet.stages import aggregate as stage

    if method not in AGGREGATORS:
        raise InputError(f"--method {method}: unknown; choose {', '.join(AGGREGATORS)}")
    stage.run(by_folder(features), manifest, out, method=method, of=average, model=model, threads=threads)
    wrote(out)


@app.command(rich_help_panel=STAGES)
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
    """Read scores of another tool, so that they can be fused and put on the leaderboard.

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


@app.command(rich_help_panel=STAGES)
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
    num_folds: Annotated[int, typer.Option(min=2, help="Parts for cross-fitting.")] = 5,
    seed: Annotated[int, typer.Option(help="Deals the videos into parts.")] = 0,
) -> None:
    """Fuse score files by video id; searched weights are cross-fitted on a labelled split.

    Example: lgdnet fuse frame.h5 flow.h5 --manifest validation.csv --out fused.h5 --fusion '{"name": "both",
    "members": ["frame", "flow"], "method": "convex"}' --weights-out weights.csv
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
        num_folds=num_folds,
        seed=seed,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def evaluate(
    scores: Annotated[list[Path], typer.Argument(help="Score files, one per row of the leaderboard.")],
    manifest: ManifestFile,
    out: Out,
    rows: Annotated[
        str, typer.Option(help="JSON list: name, input, backbone, clip, aggregation of each row.")
    ],
    rejected: Annotated[Path | None, typer.Option(help="rejected.csv; its videos count as wrong.")] = None,
    streams: Annotated[
        Path | None, typer.Option(help="Folder of the streams, whose histories tell the training time.")
    ] = None,
    per_class: Annotated[Path | None, typer.Option(help="Table by class, to write.")] = None,
    confusions: Annotated[Path | None, typer.Option(help="Most frequent mistakes, to write.")] = None,
) -> None:
    """Judge score files on a labelled split and write the leaderboard.

    Example: lgdnet evaluate scores.h5 --manifest results/sample/manifest/validation.csv --out leaderboard.csv
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
        streams=streams,
        per_class=per_class,
        confusions=confusions,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def submission(
    scores: Annotated[Path, typer.Argument(help="Scores of the test split.")],
    manifest: ManifestFile,
    out: Out,
    rejected: Annotated[Path | None, typer.Option(help="rejected.csv; its videos get a guess.")] = None,
    external_data: Annotated[str, typer.Option(help="What data from outside was used; empty for none.")] = "",
) -> None:
    """Write submission.json, checked video by video.

    Example: lgdnet submission results/sample/fusions/all/test.h5 --manifest results/sample/manifest/test.csv
    --out submission.json
    """
    from lgdnet.stages import submission as stage

    stage.run(scores, manifest, out, rejected=rejected, external_data=external_data)
    wrote(out)


@app.command(rich_help_panel=LOOKING)
def curves(
    history: Annotated[Path, typer.Argument(help="history.csv of a stream.")],
    out: Annotated[Path, typer.Option(help="Picture to write, .png or .svg.")],
    title: Annotated[str, typer.Option(help="Above the picture.")] = "",
) -> None:
    """Draw loss, accuracy and learning rate of a training run.

    Example: lgdnet curves results/sample/streams/frame16/history.csv --out curves.png
    """
    from lgdnet.stages import curves as stage

    stage.run(history, out, title=title)
    wrote(out)


@app.command(rich_help_panel=LOOKING)
def judge(
    path: Annotated[Path, typer.Argument(help="submission.json, ours or another's.")],
    truth: Annotated[Path, typer.Option(help="Official ground truth JSON, or a labelled manifest.")],
    subset: Annotated[str, typer.Option(help="Which subset of the ground truth.")] = "validation",
) -> None:
    """Judge a submission as the official script does.

    Example: lgdnet judge submission.json --truth kinetics_val.json
    """
    from lgdnet.stages import submission as stage

    found = stage.judge(path, truth, subset=subset)
    print(f"top-1 {100 * found.top1:.3f} %, top-5 {100 * found.top5:.3f} %, avg error {found.avg_error:.5f}")
    print(f"{found.num_videos} videos, {found.num_missing} without an answer, which counts as wrong")


@app.command(rich_help_panel=LOOKING)
def compare(
    a: Annotated[Path, typer.Argument(help="Score file.")],
    b: Annotated[Path, typer.Argument(help="Score file to compare it with.")],
    manifest: ManifestFile,
) -> None:
    """Say which of two score files is better on the same videos, and whether it could be chance.

    Example: lgdnet compare tcp.h5 average_pool.h5 --manifest results/sample/manifest/validation.csv
    """
    from lgdnet.stages import compare as stage

    print(stage.run(a, b, manifest))


@app.command(rich_help_panel=LOOKING)
def models(
    like: Annotated[str, typer.Option(help="Only models with this in their name.")] = "",
    num_classes: Annotated[int, typer.Option(min=1, help="Classes of the classifiers.")] = 700,
    measure: Annotated[str, typer.Option(help="Also clips per second here, for a clip such as 16x112.")] = "",
    threads: Threads = 1,
) -> None:
    """Print every model with its parameters, multiply-adds and, if asked, speed on this machine.

    Example: lgdnet models --like lgd-p3d-resnet50 --measure 16x112
    """
    from lgdnet.stages import models as stage

    print(stage.run(like=like, num_classes=num_classes, measure=measure, threads=threads))


@app.command(rich_help_panel=LOOKING)
def export(
    model: Annotated[Path, typer.Option(help="streams/{stream}/model.safetensors of the train stage.")],
    out: Annotated[Path, typer.Option(help="File to write: .pt2 (torch.export) or .onnx.")],
    threads: Threads = 1,
) -> None:
    """Write a trained network for other runtimes, checked against this one.

    Example: lgdnet export --model results/sample/streams/frame16/model.safetensors --out frame16.onnx
    """
    from lgdnet.stages import export as stage

    stage.run(model=model, out=out, threads=threads)
    wrote(out)


@app.command(rich_help_panel=LOOKING)
def leaderboard(
    path: Annotated[Path, typer.Argument(help="leaderboard.csv of a challenge.")],
    markdown: Annotated[bool, typer.Option(help="As a Markdown table.")] = False,
) -> None:
    """Print a leaderboard as a table.

    Example: lgdnet leaderboard results/sample/leaderboard.csv
    """
    from lgdnet.leaderboard import printed

    print(printed(path, markdown=markdown))
    if not markdown:
        print(path)


def by_folder(files: list[Path]) -> list[list[Path]]:
    """Files of one folder are the shards of one dump, in order of first appearance."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    return list(folders.values())


@app.command("show-flow", rich_help_panel=LOOKING)
def show_flow(
    video: Annotated[Path, typer.Argument(help="Any video file.")],
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path(),
    algorithm: Annotated[str, typer.Option(help="tvl1, dis, farneback or dual_tvl1.")] = "dis",
    short_side: Annotated[int, typer.Option(min=16, help="Pixels.")] = 256,
    bound: Annotated[float, typer.Option(min=0.1, help="Speed of the full colour, pixels per frame.")] = 20.0,
    max_frames: Annotated[int, typer.Option(min=2, help="Stop after so many.")] = 300,
) -> None:
    """Draw the flow of a video: a PNG strip, and an mp4 with the frames beside their flow.

    Example: lgdnet show-flow data/sample/videos/train/*000000*.mp4 --bound 4 --out pictures
    """
    from lgdnet.stages import show_flow as stage

    for path in stage.run(
        video, out=out, algorithm=algorithm, short_side=short_side, bound=bound, max_frames=max_frames
    ):
        wrote(path)


@app.command("show-audio", rich_help_panel=LOOKING)
def show_audio(
    video: Annotated[Path, typer.Argument(help="Any file with sound.")],
    out: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path(),
    num_clips: Annotated[int, typer.Option(min=1, help="Clips, evenly spaced over the video.")] = 20,
    clip_length: Annotated[int, typer.Option(min=1, help="Frames of a clip.")] = 16,
    frame_stride: Annotated[int, typer.Option(min=1, help="Every how many frames one is taken.")] = 1,
    segment_sec: Annotated[float, typer.Option(min=0.01, help="Sound around the middle of a clip.")] = 2.56,
) -> None:
    """Draw the sound of a video: waveform, log-mel frames, and the segments that an audio stream hears.

    Example: lgdnet show-audio data/sample/videos/train/*000000*.mp4 --segment-sec 1.28 --out pictures
    """
    from lgdnet.stages import show_audio as stage

    wrote(
        stage.run(
            video,
            out=out,
            num_clips=num_clips,
            clip_length=clip_length,
            frame_stride=frame_stride,
            segment_sec=segment_sec,
        )
    )


def wrote(path: Path) -> None:
    """What a stage made, for the person who typed it."""
    print(f"wrote {path}")


def main() -> None:
    """Run a command; bad input ends in one line and exit code 2, never in a traceback."""
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
