"""Is everything there for a run? Python, packages, GPU, disk, videos, and the cluster as the profile sees it."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import yaml

from lgdnet import slurm
from lgdnet.errors import InputError
from lgdnet.partitions import misfits
from lgdnet.quota import quotas
from lgdnet.rates import whole_disk_gb
from lgdnet.settings import Challenge, check_annotations, read_challenge

MIN_FREE_GB, MIN_FREE_FILES = 20, 20_000  # below these a run may end early
MIN_ROOM_GB, MIN_ROOM_FILES = 1, 1_000  # and below these it does not begin


class Finding(NamedTuple):
    """One line of the report: "ok", "note" (a run is possible) or "fault"."""

    verdict: str
    text: str


def run(
    config: Path,
    *,
    profile: Path = Path("slurm/config.yaml"),
    data_root: Path | None = None,
    test_job: bool = False,
) -> list[Finding]:
    """Every check, in the order in which one would repair. Nothing is changed; `test_job` goes through the queue."""
    findings = [*python_and_packages(Path("constraints.txt")), gpu()]
    try:
        challenge = read_challenge(config)
        if data_root is not None:
            challenge = challenge.model_copy(update={"data_root": data_root})
        check_annotations(challenge, source=str(config))
        findings += [Finding("ok", f"{config}: read; annotation files are there"), *videos(challenge)]
    except InputError as error:
        challenge = None
        findings.append(Finding("fault", str(error)))
    findings += disk(Path.cwd(), challenge)
    return findings + list(cluster(profile, config, challenge, test_job=test_job))


def python_and_packages(constraints: Path) -> Iterator[Finding]:
    """Versions against the pins that were tested together."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding(
        "ok" if supported else "fault",
        f"Python {version}" + ("" if supported else "; make .venv anew with Python 3.11 to 3.13"),
    )
    if not constraints.is_file():
        yield Finding("note", f"{constraints}: not here, so versions are not compared")
        return
    others, absent = [], []
    for name, pinned in re.findall(r"^([\w.-]+)==(\S+)$", constraints.read_text(), re.MULTILINE):
        try:
            installed = metadata.version(name).split("+")[0]
        except metadata.PackageNotFoundError:
            absent.append(name)
            continue
        if installed != pinned:
            others.append(f"{name} {installed} instead of {pinned}")
    needed = [
        name
        for name in absent
        if name in ("torch", "snakemake", "snakemake-executor-plugin-slurm", "h5py", "av")
    ]
    for name in needed:
        yield Finding(
            "fault", f"{name} is not installed: pip install --constraint {constraints} --editable ."
        )
    if others:
        yield Finding(
            "note",
            f"{len(others)} other versions than the tested ones: {'; '.join(others[:3])}. "
            f"For those: pip install --constraint {constraints} --editable .",
        )
    elif not needed:
        yield Finding("ok", "packages have the versions that were tested together")


def gpu() -> Finding:
    """What torch sees here; a login node often has none, which is no fault."""
    import torch

    answer = slurm.ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader") or ""
    name, _, driver = next(iter(answer.splitlines()), "").partition(", ")
    if torch.cuda.is_available():
        count, cuda = torch.cuda.device_count(), torch.version.cuda
        return Finding(
            "ok", f"{count} x {torch.cuda.get_device_name(0)}, CUDA {cuda}, driver {driver or 'unknown'}"
        )
    if not name:
        return Finding("note", "no GPU on this machine; jobs may have one elsewhere")
    if torch.version.cuda is None:
        return Finding(
            "fault",
            f"a GPU ({name}) that torch {torch.__version__} cannot use: it is a build for processors. Install the "
            "CUDA build of the same version, as pytorch.org shows under Get Started",
        )
    return Finding(
        "fault",
        f"a GPU ({name}) that torch {torch.__version__} cannot use: driver {driver} is too old for CUDA "
        f"{torch.version.cuda}. Ask for a newer driver, or install torch's build for an older CUDA",
    )


def videos(challenge: Challenge) -> Iterator[Finding]:
    root = challenge.data_path(challenge.dataset.video_root)
    if not root.is_dir():
        yield Finding("fault", f"{root}: no such folder. Correct dataset: video_root or data_root")
    elif next(root.iterdir(), None) is None:
        yield Finding("fault", f"{root}: empty. Put the videos there, or correct dataset: video_root")
    else:
        yield Finding("ok", f"{root}: readable")


def disk(folder: Path, challenge: Challenge | None) -> Iterator[Finding]:
    """Where results/ will lie: free space and quotas, against what the challenge writes."""
    target = folder / "results" if (folder / "results").exists() else folder
    needed: float = MIN_FREE_GB
    if challenge is not None:
        needed = max(needed, whole_disk_gb(challenge, folder / "results" / challenge.challenge))
    way_out = "Free some, or let `results` be a link to a folder on a larger disk"
    free = shutil.disk_usage(target).free / 1e9
    room: list[tuple[str, float | None, int | None]] = [(f"{target}: {free:,.0f} GB free", free, None)]
    room += [(quota.describe(), quota.free_gb, quota.free_files) for quota in quotas(target)]
    for text, gb, files in room:
        if (gb is not None and gb < MIN_ROOM_GB) or (files is not None and files < MIN_ROOM_FILES):
            yield Finding("fault", f"{text}: next to nothing can be written. {way_out}")
        elif (gb is not None and gb < needed) or (files is not None and files < MIN_FREE_FILES):
            yield Finding(
                "note", f"{text}; this challenge may write {needed:,.0f} GB (`lgdnet plan`). {way_out}"
            )
        else:
            yield Finding("ok", text)


def cluster(profile: Path, config: Path, challenge: Challenge | None, *, test_job: bool) -> Iterator[Finding]:
    """Partitions, accounts and GPUs as Slurm reports them."""
    if shutil.which("sinfo") is None:
        yield Finding(
            "fault" if test_job else "note",
            "no Slurm on this machine: `snakemake` runs here, `snakemake --profile slurm` does not",
        )
        return
    if slurm.ask("sinfo", "--noheader", "--format=%R") is None:
        yield Finding(
            "fault" if test_job else "note",
            "sinfo is here but does not answer: `snakemake --profile slurm` needs a machine that may submit jobs "
            "(login node), and Slurm's controller at work",
        )
        return
    try:
        names = named_by(profile)
    except (OSError, yaml.YAMLError) as error:
        yield Finding("fault", f"{profile}: cannot be read ({error}). Put it back: git checkout {profile}")
        return
    except ValueError as error:
        yield Finding("fault", f"{profile}: {error}")
        return
    faults = slurm.faults(names, str(profile))
    if challenge is not None and not faults:
        faults = misfits(challenge, names, file=str(config), profile=str(profile))
    yield from (Finding("fault", text) for text in faults)
    partitions = slurm.ask("sinfo", "--noheader", "--format=%P %l %G") or ""
    for line in dict.fromkeys(partitions.splitlines()):
        name, limit, gpus = line.split(maxsplit=2)
        yield Finding("ok", f"partition {name}, time limit {limit}, GPUs of a node: {gpus}")
    accounts = slurm.own_accounts()
    yield Finding(
        "ok" if accounts else "note", f"accounts you may use: {', '.join(accounts) or 'none reported'}"
    )
    if test_job and not faults:
        yield try_job(names, Path.cwd())
        kinds = [challenge.jobs.train, challenge.jobs.dump] if challenge else []
        for model in dict.fromkeys(job.gpu_model or "" for job in kinds if job.gpus):
            yield try_gpu(names, model, Path.cwd())


def named_by(profile: Path) -> slurm.Names:
    """What the default resources of a profile name, written as a mapping or as a list. Errors: ValueError."""
    text = yaml.safe_load(profile.read_text()) or {}
    named = (text.get("default-resources") or {}) if isinstance(text, dict) else None
    if isinstance(named, list) and all(isinstance(one, str) and "=" in one for one in named):
        named = dict(one.split("=", 1) for one in named)
    if not isinstance(named, dict):
        raise ValueError("no profile of Snakemake: `default-resources:` with `name: value` lines is needed.")
    keys = ("slurm_account", "slurm_partition", "gpu_partition")
    return slurm.Names(*(str(named.get(key) or "").strip("'\"") for key in keys))


def try_job(names: slurm.Names, folder: Path) -> Finding:
    """One minute, one core, through the queue, and the Python of this environment on the other side."""
    command, answer = through_queue(names, names.partition, [], "import lgdnet")
    if not answer:
        return Finding(
            "fault", f"a test job did not run within five minutes. See why by hand: {shlex.join(command)}"
        )
    host, where = answer.splitlines()[-1].split(maxsplit=1)
    if Path(where).resolve() != folder.resolve():
        return Finding(
            "fault",
            f"{host} does not see {folder}: put this project on a disk that all nodes share, such as your home",
        )
    return Finding("ok", f"a test job ran on {host}, which sees this folder")


def try_gpu(names: slurm.Names, model: str, folder: Path) -> Finding:
    """The same with one GPU, and whether torch sees it there."""
    gres = ["--gres=gpu:" + (f"{model}:1" if model else "1")]
    where = names.gpu_partition or names.partition
    command, answer = through_queue(names, where, gres, "import torch; print(torch.cuda.device_count())")
    if not answer:
        return Finding(
            "fault",
            f"a job with a GPU did not run within five minutes. See why by hand: {shlex.join(command)}",
        )
    count, host = answer.splitlines()[-2], answer.split()[-2]
    if count == "0":
        return Finding(
            "note",
            f"a job was given a GPU on {host}, but torch sees none there: jobs will use the processor. `srun "
            f"{gres[0]} nvidia-smi` shows card and driver; torch needs its CUDA build",
        )
    return Finding("ok", f"a job with a GPU ran on {host}, where torch sees it")


def through_queue(
    names: slurm.Names, partition: str, options: list[str], statement: str
) -> tuple[list[str], str | None]:
    """The command, and what it printed: lines of the statement, then host and folder."""
    where = {"--account": names.account, "--partition": partition}
    options = [*options, *(f"{option}={name}" for option, name in where.items() if name)]
    program = f"{statement}; import os, socket; print(socket.gethostname(), os.getcwd())"
    command = ["srun", "--time=5", "--ntasks=1", "--mem=4000", *options, sys.executable, "-c", program]
    return command, slurm.ask(*command, seconds=300)
