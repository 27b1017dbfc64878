"""Debian's packages of Slurm, MariaDB and munge, installed without starting any service of theirs."""

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = (
    "munge",
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmdbd",
    "mariadb-server-core",
    "mariadb-client-core",
)
DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")


class ClusterError(RuntimeError):
    """A daemon that does not start, or a package that is missing; the message says what to do."""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in (*DAEMONS, "sbatch", "mariadb-install-db") if which(name) is None]


def which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def install() -> None:
    """Debian's packages; `policy-rc.d` keeps them from starting services of their own."""
    if not missing():
        return
    hint = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or which("apt-get") is None:
        raise ClusterError(f"not installed: {', '.join(missing())}. As root on Debian: {hint}")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        patient = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
        for command in (["apt-get", "update", *patient], [*hint.split(), "-y", *patient]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode and command[1] == "install":
                raise ClusterError(f"{hint}: {done.stderr.strip()[-500:]}")
    finally:
        if ours:
            policy.unlink()
