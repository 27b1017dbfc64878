"""The virtual cluster's files: slurm.conf, slurmdbd.conf, gres.conf, and programs that find them."""

import contextlib
import os
import pwd
import shutil
import socket
from pathlib import Path

NODES, SPARE = ("n1", "n2", "n3", "n4"), tuple(f"n{number}" for number in range(5, 12))
ALL = NODES + SPARE
GPUS_PER_NODE, CPUS_PER_NODE, MEMORY_MB = 2, 16, 64_000
ACCOUNT = "vision"

# cred_expire: how long a job that is requeued is held back; two minutes by default.
SLURM_CONF = """
ClusterName=virtual
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=20
CredType=cred/munge
SlurmctldPort={ctld_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
KillWait={kill_wait}
MinJobAge=300
SlurmctldTimeout=300
SlurmdTimeout={node_timeout}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_min_interval=200000,bf_interval=2,requeue_delay=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n[1-4] MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=short Nodes=n[1-4] MaxTime=10 State=UP
PartitionName=spare Nodes=n[5-6] MaxTime=INFINITE State=UP
PartitionName=weak Nodes=n[7-8] MaxTime=INFINITE State=UP
PartitionName=shapes Nodes=n[9-10] MaxTime=INFINITE State=UP
PartitionName=low Nodes=n11 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=n11 MaxTime=INFINITE State=UP PriorityTier=100
"""

SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
PidFile={folder}/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
"""


def configure(folder: Path, *, kill_wait: int, node_timeout: int) -> None:
    """Write the files of every daemon, with ports that are free now; seconds as in slurm.conf."""
    ports = free_ports(3 + len(ALL))
    words = {
        "folder": folder,
        "user": user(),
        "kill_wait": kill_wait,
        "node_timeout": node_timeout,
        "ctld_port": ports[0],
        "dbd_port": ports[1],
        "sql_port": ports[2],
    }
    nodes = [
        f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={CPUS_PER_NODE}"
        f" RealMemory={MEMORY_MB} Gres=gpu:fake:{GPUS_PER_NODE} State=UNKNOWN"
        for node, port in zip(ALL, ports[3:], strict=True)
    ]
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**words, nodes="\n".join(nodes)))
    database = folder / "slurmdbd.conf"
    database.write_text(SLURMDBD_CONF.format(**words))
    database.chmod(0o600)
    (folder / "sql_port").write_text(str(ports[2]))
    for number in range(GPUS_PER_NODE):  # a device per GPU: Slurm then sets CUDA_VISIBLE_DEVICES
        device = folder / f"fakegpu{number}"
        if not device.is_symlink():
            device.symlink_to("/dev/null")
    (folder / "gres.conf").write_text(
        "".join(
            f"NodeName={node} Name=gpu Type=fake File={folder}/fakegpu{number}\n"
            for node in ALL
            for number in range(GPUS_PER_NODE)
        )
    )
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    # Snakemake's job step drops SLURM_CONF before it calls srun; on a cluster the file has its usual place.
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("srun", "squeue", "scontrol"):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which(name)} "$@"\n')
        script.chmod(0o755)


def user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all held until the last one is found."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
