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

Method = Literal["average_pool", "max_pool"]
Out = Annotated[Path, typer.Option(help="File to write; it appears only when it is whole.")]
SettingsJson = Annotated[
    str, typer.Option("--settings", help="JSON of the settings that differ from their defaults.")
]
ManifestFile = Annotated[Path, typer.Option(help="manifest/{split}.csv of the manifest stage.")]
VideoRoot = Annotated[Path, typer.Option(help="Folder that the paths of the manifest start from.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU cores to use.")]
Shard = Annotated[int, typer.Option(min=0, help="Which part of the manifest, from 0.")]
NumShards = Annotated[int, typer.Option(min=1, help="Into how many parts it is cut.")]
FlowFolder = Annotated[
    Path | None, typer.Option(help="Flow file, or folder of a split's flow files, for flow streams.")
]


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
        num_workers=threads,
    )
    wrote(out)


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
def train(
    manifest: ManifestFile,
    validation: Annotated[Path, typer.Option(help="Manifest of the split that is watched while training.")],
    classes: Annotated[Path, typer.Option(help="classes.txt of the manifest stage.")],
    video_root: VideoRoot,
    out: Out,
    init: Annotated[Path | None, typer.Option(help="model.safetensors of the stream to start from.")] = None,
    flow: FlowFolder = None,
    validation_flow: Annotated[Path | None, typer.Option(help="The same of the watched split.")] = None,
    flow_settings: Annotated[str, typer.Option(help="JSON of the settings of the flow stage.")] = "{}",
    settings: SettingsJson = "{}",
    threads: Threads = 1,
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
        flow=flow,
        validation_flow=validation_flow,
        flow_settings=parse(FlowSettings, flow_settings),
        threads=threads,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def dump(
    model: Annotated[Path, typer.Option(help="model.safetensors of the train stage.")],
    manifest: ManifestFile,
    video_root: VideoRoot,
    out: Out,
    flow: FlowFolder = None,
    shard: Shard = 0,
    num_shards: NumShards = 1,
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
        flow=flow,
        shard=shard,
        num_shards=num_shards,
        settings=parse(DumpSettings, settings),
        threads=threads,
    )
    wrote(out)


@app.command(rich_help_panel=STAGES)
def aggregate(
    features: Annotated[
        list[Path], typer.Argument(help="Feature files of all shards of one stream and split.")
    ],
    manifest: ManifestFile,
    out: Out,
    method: Annotated[Method, typer.Option(help="How views become a video.")] = "average_pool",
) -> None:
    """Turn the views of each video into one score.

    Example: lgdnet aggregate results/sample/streams/frame16/features/validation/*.h5 --manifest
    results/sample/manifest/validation.csv --out scores.h5
    """
    from lgdnet.stages import aggregate as stage

    stage.run(features, manifest, out, method=method)
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
) -> None:
    """Judge score files on a labelled split and write the leaderboard.

    Example: lgdnet evaluate scores.h5 --manifest results/sample/manifest/validation.csv --out leaderboard.csv
    --rows '[{"name": "frame16", "input": "Frame"}]'
    """
    from lgdnet.leaderboard import rows_from_json
    from lgdnet.stages import evaluate as stage

    stage.run(scores, manifest, out, rows=rows_from_json(rows), rejected=rejected)
    wrote(out)


@app.command(rich_help_panel=LOOKING)
def leaderboard(
    path: Annotated[Path, typer.Argument(help="leaderboard.csv of a challenge.")],
) -> None:
    """Print a leaderboard as a table.

    Example: lgdnet leaderboard results/sample/leaderboard.csv
    """
    from lgdnet.leaderboard import printed

    print(printed(path))
    print(path)


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
