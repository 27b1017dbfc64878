"""Is everything there for a run? Python, packages, GPU, disk, videos, and the cluster as the profile sees it."""

import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import yaml

from lgdnet import slurm
from lgdnet.errors import InputError
from lgdnet.settings import Challenge, check_annotations, read_challenge

MIN_FREE_GB = 20


class Finding(NamedTuple):
    """One line of the report: "ok", "note" (a run is possible) or "fault"."""

    verdict: str
    text: str


def run(config: Path, *, profile: Path = Path("slurm/config.yaml"), test_job: bool = False) -> list[Finding]:
    """Every check, in the order in which one would repair. Nothing is changed; `test_job` goes through the queue."""
    findings = [*python_and_packages(Path("constraints.txt")), gpu()]
    try:
        challenge = read_challenge(config)
        check_annotations(challenge, source=str(config))
        findings += [Finding("ok", f"{config}: read; annotation files are there"), *videos(challenge)]
    except InputError as error:
        challenge = None
        findings.append(Finding("fault", str(error)))
    findings.append(disk(Path.cwd()))
    return findings + list(cluster(profile, config, challenge, test_job=test_job))


def python_and_packages(constraints: Path) -> Iterator[Finding]:
    """Versions against the pins that were tested together."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Finding(
        "ok" if supported else "fault", f"Python {version}" + ("" if supported else "; use 3.11 to 3.13")
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
        yield Finding("note", f"{len(others)} other versions than the tested ones: {'; '.join(others[:3])}")
    elif not needed:
        yield Finding("ok", "packages have the versions that were tested together")


def gpu() -> Finding:
    """What torch sees here; a login node often has none, which is no fault."""
    import torch

    if torch.cuda.is_available():
        return Finding(
            "ok", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
        )
    driver = slurm.ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if driver:
        return Finding(
            "fault",
            f"a GPU ({driver.splitlines()[0]}) that torch {torch.__version__} cannot use; install its CUDA build",
        )
    return Finding("note", "no GPU on this machine; jobs may have one elsewhere")


def videos(challenge: Challenge) -> Iterator[Finding]:
    root = challenge.data_path(challenge.dataset.video_root)
    if not root.is_dir():
        yield Finding("fault", f"{root}: no such folder. Correct dataset: video_root or data_root")
    elif next(root.iterdir(), None) is None:
        yield Finding("fault", f"{root}: empty. Put the videos there, or correct dataset: video_root")
    else:
        yield Finding("ok", f"{root}: readable")


def disk(folder: Path) -> Finding:
    """Where results/ will lie. A quota of the file system is counted where it reports one."""
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{folder}: {free:,.0f} GB free"
    return (
        Finding("ok", text)
        if free >= MIN_FREE_GB
        else Finding("note", f"{text}, little for features and flow")
    )


def cluster(profile: Path, config: Path, challenge: Challenge | None, *, test_job: bool) -> Iterator[Finding]:
    """Partitions, accounts and GPUs as Slurm reports them."""
    if shutil.which("sinfo") is None:
        yield Finding(
            "note", "no Slurm on this machine: `snakemake` runs here, `snakemake --profile slurm` does not"
        )
        return
    try:
        named = (yaml.safe_load(profile.read_text()) or {}).get("default-resources") or {}
    except (OSError, yaml.YAMLError) as error:
        yield Finding("fault", f"{profile}: cannot be read ({error})")
        return
    jobs = [challenge.jobs.train, challenge.jobs.dump] if challenge else []
    largest = max(jobs, key=lambda job: job.gpus, default=None)
    wanted = slurm.Wanted(
        account=str(named.get("slurm_account") or ""),
        partition=str(named.get("slurm_partition") or ""),
        gpu_partition=str(named.get("gpu_partition") or ""),
        gpus=largest.gpus if largest else 0,
        gpu_model=(largest.gpu_model or "") if largest else "",
    )
    faults = slurm.faults(wanted, str(profile), str(config))
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
        yield try_job(wanted)


def try_job(wanted: slurm.Wanted) -> Finding:
    """One minute, one core, through the queue, and the Python of this environment on the other side."""
    options = [f"--account={wanted.account}"] * bool(wanted.account) + [
        f"--partition={wanted.partition}"
    ] * bool(wanted.partition)
    command = [
        "srun",
        "--time=1",
        "--ntasks=1",
        *options,
        sys.executable,
        "-c",
        "import lgdnet, socket; print(socket.gethostname())",
    ]
    host = slurm.ask(*command, seconds=300)
    if host:
        return Finding("ok", f"a test job ran on {host.strip()}")
    return Finding(
        "fault", f"a test job did not run within five minutes: {' '.join(command[:-2])} ... ; try it by hand"
    )
