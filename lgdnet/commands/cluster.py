"""Before, during and after a run on a cluster."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lgdnet.commands.table import Out, app, wrote
from lgdnet.errors import InputError

LogFile = Annotated[Path | None, typer.Argument(help="Log of Snakemake; the newest one without it.")]
Config = Annotated[Path, typer.Argument(help="Challenge file.")]
DataRoot = Annotated[
    Path | None, typer.Option(help="As `snakemake --config data_root=...`: the folder of the data.")
]


@app.command()
def plan(
    config: Config = Path("config.yaml"),
    target: Annotated[list[str], typer.Option(help="Such as models; everything without it.")] = [],  # noqa: B006
    data_root: DataRoot = None,
) -> None:
    """What would run and why, with hours and disk it needs.

    Nothing is submitted.

    Example: lgdnet plan config.yaml
    """
    from lgdnet.stages import forecast as stage

    print(stage.run(config, targets=target, data_root=data_root))


@app.command()
def status(log: LogFile = None) -> None:
    """How far the workflow is, and what each running job said.

    Example: lgdnet status
    """
    from lgdnet.stages import status as stage

    print(stage.run(log))


@app.command()
def failed(log: LogFile = None) -> None:
    """Jobs that failed for good: reason, log, its last lines.

    Example: lgdnet failed
    """
    from lgdnet.stages import failed as stage
    from lgdnet.workflow_log import newest_log

    print(stage.run(log or newest_log()) or "no job failed for good")


@app.command()
def cost(
    benchmarks: Annotated[Path, typer.Argument(help="Folder of the benchmark files.")],
    out: Out,
    gpus: Annotated[str, typer.Option(help="JSON: GPUs of one job of a stage.")] = "{}",
) -> None:
    """Gather time, memory and GPU-hours of stages and streams.

    Example: lgdnet cost results/sample/benchmarks --out try/cost.csv
    """
    from lgdnet.stages import cost as stage

    try:
        counts = {str(name): int(count) for name, count in json.loads(gpus).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--gpus: not a JSON mapping of stages to counts ({error}): {gpus!r}") from None
    stage.run(benchmarks, out, gpus=counts)
    wrote(out)


@app.command()
def doctor(
    config: Config = Path("config.yaml"),
    profile: Annotated[Path, typer.Option(help="Profile of the cluster.")] = Path("slurm/config.yaml"),
    data_root: DataRoot = None,
    test_job: Annotated[
        bool, typer.Option("--test-job", help="Also short jobs through the queue: one, and one with a GPU.")
    ] = False,
) -> None:
    """Check Python, packages, GPU, disk, videos and the cluster.

    Ends with code 1 where there is a fault.

    Example: lgdnet doctor config.yaml
    """
    from lgdnet.stages import doctor as stage

    findings = stage.run(config, profile=profile, data_root=data_root, test_job=test_job)
    for verdict, text in findings:
        print(f"{verdict:5s}  {text}")
    if any(verdict == "fault" for verdict, _ in findings):
        raise typer.Exit(1)
