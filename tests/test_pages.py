"""Freed memory stays, as counted by the pages that the system has to hand out again."""

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys
from lgdnet.pages import keep_pages
kept = keep_pages(*map(int, sys.argv[1:])) if sys.argv[1:] != ["never"] else None
import torch
def step():
    blocks = [torch.ones(4 << 20), torch.ones(16 << 20), torch.ones(40 << 20)]  # 16, 64, 160 MiB
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")


def faults(*arguments: str, **environment: str) -> tuple[str, int]:
    """What keep_pages said, and how many pages three steps had to ask for."""
    command = [sys.executable, "-c", STEPS, *arguments]
    output = subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    ).stdout
    said, count = output.split()
    return said, int(count)


@glibc
def test_steps_ask_for_no_new_pages():
    said, count = faults()
    _, without = faults("never")
    assert said == "True"
    assert count < without / 20


@glibc
def test_a_limit_is_kept():
    _, without = faults("never")
    said, count = faults("64")
    assert said == "True"
    assert count > without / 4  # blocks above half of it go back


def test_a_choice_of_the_environment_stands():
    said, _ = faults(MALLOC_TRIM_THRESHOLD_="131072")
    assert said == "False"
