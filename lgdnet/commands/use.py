"""What was trained, used on other videos."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lgdnet.commands.table import Out, Threads, app, wrote

ChallengeFolder = Annotated[
    Path | None,
    typer.Option(help="results/<challenge>, or a pack; the only finished one under results/ without it."),
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="Challenge file to use in place of the settings that the run recorded.")
]
VideoRoot = Annotated[
    Path | None,
    typer.Option(help="Folder that the challenge's paths start from: a video's id is then told by its path."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: a GPU if there is one.")]


@app.command()
def predict(
    videos: Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.")],
    challenge: ChallengeFolder = None,
    row: Annotated[
        str | None,
        typer.Option(help="Row of the leaderboard, such as frame16/tcp; the submitted one without it."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes are shown.")] = 5,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object per video and line, for programs.")
    ] = False,
    members: Annotated[
        bool, typer.Option("--members", help="Also what each member of a fusion says.")
    ] = False,
    annotate: Annotated[
        Path | None, typer.Option(help="Folder for copies of the videos with the best classes on them.")
    ] = None,
    video_root: VideoRoot = None,
    device: Device = "auto",
    config: ConfigFile = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds after which a decoder is taken for hung.")
    ] = 3600,
    threads: Threads = 1,
) -> None:
    """Predict the classes of new videos.

    With everything that a finished challenge has; exit code 1 if a video could not be used.

    Example: lgdnet predict data/sample/videos/test/7I6M9zSKqQq_000130_000133.mp4 --challenge results/sample --top 3
    """
    from lgdnet.stages import predict as stage

    failures = stage.run(
        videos,
        challenge=challenge,
        config=config,
        row=row,
        device=device,
        count=top,
        as_lines=json,
        members=members,
        annotate=annotate,
        video_root=video_root,
        timeout_sec=timeout,
        threads=threads,
    )
    if failures:
        raise typer.Exit(1)


@app.command()
def pack(
    challenge: Annotated[Path, typer.Argument(help="results/<challenge> of a finished one.")],
    out: Out,
    row: Annotated[
        list[str], typer.Option(help="Only this row, once for each; the first one is what predict shows.")
    ] = [],  # noqa: B006
    config: ConfigFile = None,
) -> None:
    """Put a finished challenge into one file, for `predict`.

    `lgdnet predict --challenge FILE` reads it on any machine.

    Example: lgdnet pack results/sample --out try/sample.lgdnet
    """
    from lgdnet.stages import pack as stage

    rows = stage.run(challenge, out, config=config, rows=row)
    print(f"rows: {', '.join(rows)}")
    wrote(out)


@app.command()
def explain(
    video: Annotated[Path, typer.Argument(help="One video.")],
    challenge: ChallengeFolder = None,
    stream: Annotated[
        str | None, typer.Option(help="Name of a stream; the first one behind the submitted row without it.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Class to explain; the one that the stream finds best without it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Picture to write, .png, .jpg or .webp; <video>.explain.png without it."),
    ] = None,
    video_root: VideoRoot = None,
    device: Device = "auto",
    config: ConfigFile = None,
    threads: Threads = 1,
) -> None:
    """Draw where and when a network looks in a video.

    Places and moments of the local path, and the weight of the global one.

    Example: lgdnet explain data/sample/videos/test/7I6M9zSKqQq_000130_000133.mp4 --challenge results/sample --out
    try/explain.png
    """
    from lgdnet.stages import explain as stage

    out = out or Path(f"{video.stem}.explain.png")
    found = stage.run(
        video,
        out,
        challenge=challenge,
        config=config,
        stream=stream,
        label=label,
        video_root=video_root,
        device=device,
        threads=threads,
    )
    parts = f"local {found.local:.3f}, global {found.global_:.3f}, constant {found.constant:.3f}"
    print(
        f"{found.stream}: {found.label}, logit {found.logit:.3f} ({parts}{'' if found.is_sum else ', by gradient'})"
    )
    wrote(out)
