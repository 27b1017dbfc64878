import os
import shutil
import subprocess

import pytest

from lgdnet.checkpoint import CheckpointError, Checkpoints

from .survival import survive
from .toy import toy_model, toy_train


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    kills = survive(tmp_path, kills=5, num_steps=500, seed=1)
    assert {kill.signal for kill in kills} == {"SIGKILL", "SIGTERM", "SIGUSR1"}


@pytest.mark.long
def test_two_processes_killed_at_random_moments_end_with_the_same_bits(tmp_path):
    survive(tmp_path, kills=5, processes=2, num_steps=300, seed=2)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this container may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_leaves_the_last_good_checkpoint_whole(small_disk, tmp_path):
    big = {
        "model": toy_model(extra=150_000),
        "save_every_steps": 4,
    }  # a checkpoint is 1.2 MB: weights and momentum
    with pytest.raises(
        CheckpointError, match=r"disk is full. Free some space and start again. The last good"
    ):
        toy_train(small_disk, **big, num_steps=12)
    checkpoints = Checkpoints(small_disk / "checkpoints", identity="toy")
    step, _ = checkpoints.latest()
    assert step in (4, 7, 8) and not list((small_disk / "checkpoints").glob("*.tmp"))
    shutil.copytree(small_disk, tmp_path / "moved")
    rescued = toy_train(tmp_path / "moved", **{**big, "model": toy_model(extra=150_000)}, num_steps=12)
    calm = toy_train(tmp_path / "calm", **{**big, "model": toy_model(extra=150_000)}, num_steps=12)
    assert all(
        (a == b).all() for a, b in zip(calm.state_dict().values(), rescued.state_dict().values(), strict=True)
    )
