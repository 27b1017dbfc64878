import pytest

from lgdnet.launch import first_host, torchrun_options


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
