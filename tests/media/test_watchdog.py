"""Work that hangs, crashes or raises costs itself only."""

import time
from pathlib import Path

import pytest

from lgdnet.watchdog import Failure, Worker, killable_map


@pytest.fixture(autouse=True)
def targets_on_the_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_results_come_back_with_their_position():
    results = dict(killable_map("targets:double", [(i,) for i in range(20)], num_workers=2, timeout_sec=10))
    assert results == {i: 2 * i for i in range(20)}


def test_a_call_that_hangs_or_crashes_or_raises_does_not_touch_the_others():
    calls = [("a",), ("hang",), ("crash",), ("raise",), ("b",)]
    start = time.monotonic()
    results = dict(killable_map("targets:misbehave", calls, num_workers=2, timeout_sec=1.0))
    assert time.monotonic() - start < 60
    assert results[0] == "a" and results[4] == "b"
    assert results[1].kind == "timeout"
    assert results[2] == Failure("crash", "the process ended with code 3")
    assert results[3] == Failure("error", "ValueError: no good")


def test_memory_is_bounded():
    worker = Worker("targets:misbehave", memory_gib=1)
    assert worker.call("eat", timeout_sec=10) == Failure("error", "MemoryError")
    worker.stop()


def test_a_worker_starts_again_after_it_was_killed():
    worker = Worker("targets:misbehave")
    assert worker.call("hang", timeout_sec=0.3).kind == "timeout"
    assert worker.call("fine", timeout_sec=10) == "fine"
    worker.stop()
