"""The challenge of 2019 at its true size: a job is a shard, never a video. Nothing is asserted of times."""

import pytest

from benchmarks.dag import KINETICS700, plan_kinetics700

pytestmark = pytest.mark.workflow


def test_650_000_videos_are_about_2_000_jobs(tmp_path):
    assert 640_000 < sum(KINETICS700.values()) < 660_000
    seconds, cpu_sec, memory_mib, jobs = plan_kinetics700(tmp_path)
    print(f"{jobs} jobs, {seconds:.1f} s, {cpu_sec:.1f} s of one core, {memory_mib:.0f} MiB")
    assert 1_800 <= jobs <= 2_600
    assert memory_mib < 2_000
