"""Backend by container: whatever `probe` chooses returns exactly the frames asked for.

`pytest tests/media/test_exactness.py -m "slow or not slow" -s` prints the table: share of exact clips of each
backend, a star where probing allows it. Without a star decord and seeking may be wrong; they are not used.
"""

from pathlib import Path

import numpy as np
import pytest
from barcodes import number_of
from containers import CONTAINERS, FIRST_NUMBER, NUM_FRAMES, ROTATION

from lgdnet.video import iterate_frames, probe, read_frames
from lgdnet.video.decord_reader import is_installed, read_with_decord
from lgdnet.watchdog import Failure, Worker

FAST = (
    "H.264, B-frames, mp4",
    "MPEG-4, B-frames, avi",
    "stream-copy trim, edit list, mp4",
    "H.264, variable rate, mp4",
)
NUM_CLIPS = 16


def numbers(frames, name):
    """What the barcodes of a stack of frames say, from 0."""
    turned = (np.rot90(frame, -ROTATION.get(name, 0)) for frame in frames)
    return [number_of(frame) - FIRST_NUMBER.get(name, 0) for frame in turned]


def clips(seed=0):
    """Frame numbers of random clips: neighbours, strides, single frames, both ends."""
    generator = np.random.default_rng(seed)
    for _ in range(NUM_CLIPS - 2):
        length, stride = int(generator.choice([1, 3, 8])), int(generator.choice([1, 2, 9]))
        start = int(generator.integers(NUM_FRAMES - (length - 1) * stride))
        yield start + np.arange(length) * stride
    yield np.array([0, NUM_FRAMES - 1])
    yield np.array([NUM_FRAMES - 1])


def share_exact(path, name, backend):
    """Share of random clips whose every frame is the one asked for."""
    exact = 0
    for indices in clips():
        if backend == "decord" and isinstance(read_with_decord(path, indices, short_side=None), Failure):
            continue  # `read_frames` would go on with PyAV
        try:
            exact += numbers(read_frames(path, indices, backend=backend), name) == indices.tolist()
        except ValueError:
            continue
    return exact / NUM_CLIPS


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in CONTAINERS]
)
def test_every_backend_that_probing_allows_is_exact(name, tmp_path):
    filename, make = CONTAINERS[name]
    path = make(tmp_path / filename)
    found = probe(path)
    assert (found.verdict, found.num_frames, found.num_damaged) == ("ok", NUM_FRAMES, 0), found.reason
    allowed = {"pyav", found.backend, probe(path, backend="decord").backend}
    assert numbers(iterate_frames(path), name) == list(range(NUM_FRAMES))
    shares = {backend: share_exact(path, name, backend) for backend in allowed}
    assert shares == dict.fromkeys(allowed, 1.0)
    for backend in {"pyav", "seek", "decord"} - allowed:
        shares[backend] = share_exact(path, name, backend)
    row = "  ".join(f"{b} {100 * shares[b]:3.0f} %{'*' if b in allowed else ' '}" for b in sorted(shares))
    print(f"\n{name:34s} {row}  chosen: {found.backend}", end="")


@pytest.mark.skipif(not is_installed(), reason="decord has no wheel for this platform")
def test_decord_is_refused_where_it_promises_frames_that_do_not_exist(tmp_path):
    filename, make = CONTAINERS["stream-copy trim, edit list, mp4"]
    assert probe(make(tmp_path / filename), backend="decord").backend != "decord"


@pytest.mark.skipif(not is_installed(), reason="decord has no wheel for this platform")
def test_a_decord_that_hangs_is_killed_and_pyav_takes_over(tmp_path, monkeypatch, capsys):
    from lgdnet.video import decord_reader

    filename, make = CONTAINERS["H.264, B-frames, mp4"]
    path = make(tmp_path / filename)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(decord_reader, "TIME_LIMIT_SEC", 0.3)
    monkeypatch.setattr(decord_reader, "reader", lambda: (Worker("targets:hang"), 0))
    frames = read_frames(path, [5, 7], backend="decord")
    assert [number_of(frame) for frame in frames] == [5, 7]
    assert "decord failed (no answer within the time limit); read with PyAV" in capsys.readouterr().err
