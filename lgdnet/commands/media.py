"""Videos in: lists checked, videos transcoded, flow and sound extracted."""

from pathlib import Path
from typing import Annotated

import typer

from lgdnet.commands.table import (
    ManifestFile,
    NumShards,
    Out,
    SettingsJson,
    Shard,
    Threads,
    VideoRoot,
    app,
    wrote,
)


@app.command()
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
    """Check every video of the annotations once; list broken ones.

    `rejected.csv` names each with the reason.

    Example: lgdnet manifest --dataset '{"format": "kinetics-csv", "annotations": {"train":
    "data/sample/train.csv"}, "video_root": "data/sample/videos"}' --out try/manifest
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


@app.command()
def probe(
    dataset: Annotated[str, typer.Option(help="JSON of the dataset settings.")],
    out: Out,
    shard: Shard = 0,
    num_shards: NumShards = 1,
    data_root: Annotated[Path, typer.Option(help="Where relative paths of the data set start.")] = Path(),
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Check one part of the videos, for `manifest` to put together.

    Run it again after an interruption: it goes on.

    Example: lgdnet probe --dataset '{"format": "kinetics-csv", "annotations": {"train":
    "data/sample/train.csv"}, "video_root": "data/sample/videos"}' --shard 0 --num-shards 8 --out try/0000.jsonl
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


@app.command()
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
    --settings '{"short_side": 128}' --threads 2 --out try/media/train/0000.csv
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


@app.command("media-manifest")
def media_manifest(
    shards: Annotated[list[Path], typer.Argument(help="Files of all shards of the media stage, in order.")],
    manifest: ManifestFile,
    out: Out,
) -> None:
    """Join the shards of `media` to the manifest of its videos.

    Example: lgdnet media-manifest try/media/train/*.csv --manifest results/sample/manifest/train.csv
    --out try/media/train.csv
    """
    from lgdnet.stages import media as stage

    stage.collect(shards, manifest, out)
    wrote(out)


@app.command()
def cache(
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    shard: Shard = 0,
    num_shards: NumShards = 1,
    settings: SettingsJson = "{}",
) -> None:
    """Decode videos once and keep their frames as JPEG.

    For small clusters and slow disks.

    Example: lgdnet cache --manifest results/sample/manifest/train.csv --video-root data/sample/videos
    --settings '{"short_side": 64}' --out try/cache/train/0000.h5
    """
    from lgdnet.settings import CacheSettings, parse
    from lgdnet.stages import cache as stage

    stage.run(manifest, video_root, out, parse(CacheSettings, settings), shard=shard, num_shards=num_shards)
    wrote(out)


@app.command()
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
    --settings '{"short_side": 64, "bound": 8}' --threads 2 --out try/flow/train/0000.h5
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


@app.command()
def audio(
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    shard: Annotated[int, typer.Option(min=0, help="Which part of the manifest, from 0.")] = 0,
    num_shards: Annotated[int, typer.Option(min=1, help="Into how many parts it is cut.")] = 1,
    settings: SettingsJson = "{}",
    threads: Threads = 1,
) -> None:
    """Write the log-mel frames of every video's sound.

    Videos without sound and silent ones are recorded as such.

    Example: lgdnet audio --manifest results/sample/manifest/train.csv --video-root data/sample/videos
    --out try/audio/train/0000.h5
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


@app.command()
def convert(
    manifests: Annotated[list[Path], typer.Argument(help="manifest/{split}.csv of one or more splits.")],
    classes: Annotated[Path, typer.Option(help="classes.txt of the manifest stage.")],
    out: Annotated[Path, typer.Option(help="Folder to fill.")],
    to: Annotated[str, typer.Option(help="mmaction2 or activitynet.")] = "mmaction2",
) -> None:
    """Write manifests as lists of MMAction2 or of ActivityNet.

    Example: lgdnet convert results/sample/manifest/validation.csv --classes
    results/sample/manifest/classes.txt --to activitynet --out try/converted
    """
    from lgdnet.stages import convert as stage

    stage.run(manifests, classes, out, to=to)
    wrote(out)


@app.command()
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


@app.command("bench-data")
def bench_data(
    config: Annotated[Path, typer.Argument(help="Challenge file whose manifest is made.")],
    stream: Annotated[str | None, typer.Option(help="A frame stream; the first one without it.")] = None,
) -> None:
    """How fast clips can be fed here, and what bounds training.

    Example: lgdnet bench-data config.yaml
    """
    from lgdnet.stages import bench_data as stage

    stage.run(config, stream=stream)
