"""One network: does it fit, train it, dump its features."""

from pathlib import Path
from typing import Annotated

import typer

from lgdnet.commands.table import (
    ManifestFile,
    NumShards,
    Out,
    SettingsJson,
    Shard,
    Stored,
    Threads,
    VideoRoot,
    app,
    wrote,
)


@app.command()
def fit_check(
    config: Annotated[Path, typer.Argument(help="Challenge file, such as config.yaml.")],
    stream: Annotated[str, typer.Argument(help="Name of a stream in it.")],
    data_root: Annotated[Path | None, typer.Option(help="Instead of the file's data_root.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the results; the manifest must be there.")] = Path(
        "results"
    ),
    threads: Threads = 1,
) -> None:
    """Try a few steps of a stream: memory, clips per second, hours.

    Hours are those of the whole schedule. Nothing is kept.

    Example: lgdnet fit-check config.yaml frame16
    """
    from lgdnet.stages import fit_check as stage

    stage.run(config, stream, data_root=data_root, results=results, threads=threads)


@app.command()
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
    "crop": 56, "train": {"epochs": 1, "batch_size": 16}}' --out try/frame16/model.safetensors
    """
    from lgdnet.interrupt import exit_on_signal

    with exit_on_signal():
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


@app.command()
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
    """Write features and logits of every view of every video.

    Example: lgdnet dump --model results/sample/streams/frame16/model.safetensors --manifest
    results/sample/manifest/validation.csv --video-root data/sample/videos --out try/features.h5
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
