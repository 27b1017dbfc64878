import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lgdnet.interrupt import Interrupt, exit_on_signal
from lgdnet.launch import first_host, main, torchrun_options


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("gpu[03-06,9],login", "gpu03"),
        ("a[1,3]-ib,b", "a1-ib"),
        ("n-2.site.org", "n-2.site.org"),
    ],
)
def test_the_first_host_of_a_slurm_list(nodes, host):
    assert first_host(nodes) == host


def test_one_process_needs_no_torchrun():
    assert torchrun_options({}, 0) == [] and torchrun_options({}, 1) == []


def test_several_gpus_of_one_node_pick_their_own_port():
    assert torchrun_options({}, 4) == ["--standalone", "--nproc-per-node=4", "--max-restarts=0"]


def test_nodes_of_a_job_step_meet_at_the_first_one():
    step = {
        "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "gpu[3-4]",
        "SLURM_JOB_ID": "100", "SLURM_STEP_ID": "1",
    }  # fmt: skip
    options = torchrun_options(step, 8)
    assert "--nnodes=2" in options and "--nproc-per-node=8" in options
    assert "--rdzv-endpoint=gpu3:20701" in options and "--rdzv-id=100.1.0" in options
    assert "--rdzv-endpoint=gpu3:20708" in torchrun_options(step | {"SLURM_JOB_ID": "101"}, 8)


def test_tasks_that_slurm_has_started_need_no_torchrun():
    assert torchrun_options({"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "8"}, 1) == []


@pytest.mark.parametrize("arguments", [["--processes"], ["--processes", "x", "train"], ["--processes", "-3"]])
def test_a_bad_number_of_processes_is_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "say how many per node, 1 or more" in capsys.readouterr().err


def test_a_signal_during_the_start_of_the_launcher_exits_with_the_code_that_is_retried(tmp_path):
    """While torch is imported."""
    (tmp_path / "torch.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lgdnet.launch", "train", "--help"],
        env=environment, cwd=root, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 75
    process.stdout.close()


def test_a_signal_that_the_inner_block_has_not_obeyed_ends_the_outer_one():
    with pytest.raises(SystemExit) as stopped, exit_on_signal():
        with Interrupt() as inner:
            signal.raise_signal(signal.SIGUSR1)
            time.sleep(0)
            assert inner.name == "SIGUSR1"
        raise AssertionError("still running")
    assert stopped.value.code == 75
