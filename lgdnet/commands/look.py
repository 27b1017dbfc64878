"""Looking at results, videos and networks."""

from pathlib import Path
from typing import Annotated

import typer

from lgdnet.commands.table import ManifestFile, Out, RejectedFile, SplitName, Threads, app, wrote


@app.command()
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


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of a finished challenge.")],
    out: Out,
    challenge: Annotated[
        Path | None, typer.Option(help="Challenge file, instead of the settings recorded in the folder.")
    ] = None,
) -> None:
    """Put a finished challenge on one page for a browser.

    Tables, plots, example videos; it needs no network.

    Example: lgdnet report results/sample --out try/report.html
    """
    from lgdnet.stages import report as stage

    stage.run(results, out, config=challenge)
    wrote(out)


@app.command()
def curves(
    history: Annotated[Path, typer.Argument(help="history.csv of a stream.")],
    out: Annotated[Path, typer.Option(help="Picture to write, .png or .svg.")],
    title: Annotated[str, typer.Option(help="Above the picture.")] = "",
) -> None:
    """Draw loss, accuracy and learning rate of a training run.

    Example: lgdnet curves results/sample/streams/frame16/history.csv --out try/curves.png
    """
    from lgdnet.stages import curves as stage

    stage.run(history, out, title=title)
    wrote(out)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="Score file.")],
    b: Annotated[Path, typer.Argument(help="Score file to compare it with.")],
    manifest: ManifestFile,
    rejected: RejectedFile = None,
    split: SplitName = None,
) -> None:
    """Which of two score files is better, and is it chance?

    They are compared on the same videos.

    Example: lgdnet compare results/sample/streams/frame16/tcp/validation.h5
    results/sample/streams/frame16/average_pool/validation.h5 --manifest results/sample/manifest/validation.csv
    --rejected results/sample/manifest/rejected.csv
    """
    from lgdnet.stages import compare as stage

    print(stage.run(a, b, manifest, rejected=rejected, split=split))


@app.command()
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


@app.command("show-flow")
def show_flow(
    video: Annotated[Path, typer.Argument(help="Any video file.")],
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path(),
    algorithm: Annotated[str, typer.Option(help="tvl1, dis, farneback or dual_tvl1.")] = "dis",
    short_side: Annotated[int, typer.Option(min=16, help="Pixels.")] = 256,
    bound: Annotated[float, typer.Option(min=0.1, help="Speed of the full colour, pixels per frame.")] = 20.0,
    max_frames: Annotated[int, typer.Option(min=2, help="Stop after so many.")] = 300,
) -> None:
    """Draw the flow of a video: a strip of pictures, an mp4.

    Example: lgdnet show-flow data/sample/videos/test/7I6M9zSKqQq_000130_000133.mp4 --bound 4
    --out try
    """
    from lgdnet.stages import show_flow as stage

    for path in stage.run(
        video, out=out, algorithm=algorithm, short_side=short_side, bound=bound, max_frames=max_frames
    ):
        wrote(path)


@app.command("show-audio")
def show_audio(
    video: Annotated[Path, typer.Argument(help="Any file with sound.")],
    out: Annotated[Path, typer.Option(help="Folder for the picture.")] = Path(),
    num_clips: Annotated[int, typer.Option(min=1, help="Clips, evenly spaced over the video.")] = 20,
    clip_length: Annotated[int, typer.Option(min=1, help="Frames of a clip.")] = 16,
    frame_stride: Annotated[int, typer.Option(min=1, help="Every how many frames one is taken.")] = 1,
    segment_sec: Annotated[float, typer.Option(min=0.01, help="Sound around the middle of a clip.")] = 2.56,
) -> None:
    """Draw the sound of a video and what an audio stream hears.

    Example: lgdnet show-audio data/sample/videos/test/7I6M9zSKqQq_000130_000133.mp4
    --segment-sec 1.28 --out try
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


@app.command()
def models(
    like: Annotated[str, typer.Option(help="Only models with this in their name.")] = "",
    num_classes: Annotated[int, typer.Option(min=1, help="Classes of the classifiers.")] = 700,
    measure: Annotated[str, typer.Option(help="Also clips per second here, for a clip such as 16x112.")] = "",
    threads: Threads = 1,
) -> None:
    """Print every model: parameters, multiply-adds, speed here.

    Example: lgdnet models --like lgd-p3d-resnet50 --measure 16x112
    """
    from lgdnet.stages import models as stage

    print(stage.run(like=like, num_classes=num_classes, measure=measure, threads=threads))


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="streams/{stream}/model.safetensors of the train stage.")],
    out: Annotated[Path, typer.Option(help="File to write: .pt2 (torch.export) or .onnx.")],
    threads: Threads = 1,
) -> None:
    """Write a trained network for other runtimes, checked.

    Example: lgdnet export --model results/sample/streams/frame16/model.safetensors --out try/frame16.onnx
    """
    from lgdnet.stages import export as stage

    stage.run(model=model, out=out, threads=threads)
    wrote(out)
