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

NAME, VERSION = platform.libc_ver()
glibc = pytest.mark.skipif(
    NAME != "glibc" or tuple(map(int, VERSION.split("."))) < (2, 35),
    reason="large blocks stay from glibc 2.35 on",
)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")],
)
def test_a_choice_of_the_environment_stands(name, value):
    said, _ = faults(**{name: value})
    assert said == "False"
