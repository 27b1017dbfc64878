"""Batches are a pure function of (seed, step); views come in order from one decode."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from barcodes import number_of, write_video
from hypothesis import given
from hypothesis import strategies as st

from lgdnet.loader import frames as frames_module
from lgdnet.loader.batches import batches, draws_of_step, steps_per_epoch, views
from lgdnet.loader.frames import FrameSource
from lgdnet.manifest import read_manifest


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    lines = ["video_id,path,label,class_index,num_frames,width,height,backend"]
    for i in range(6):
        n = 5 if i == 5 else 40 + i
        write_video(root / f"v{i}.mp4", n, first_number=100 * i, size=(48, 64))
        lines.append(f"v{i},v{i}.mp4,c{i % 2},{i % 2},{n},64,48,{'seek' if i % 2 else 'pyav'}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return FrameSource(read_manifest(root / "train.csv"), root, clip_length=8, frame_stride=2, size=32)


def take(count, *arguments, **options):
    return [batch for batch, _ in zip(batches(*arguments, **options), range(count), strict=False)]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_batch_has_the_agreed_shapes_and_types(source):
    batch = take(1, source, batch_size=3, seed=1)[0]
    assert batch.clip.shape == (3, 3, 8, 32, 32) and batch.clip.dtype == torch.uint8
    assert batch.label.tolist() == [row % 2 for row in batch.row.tolist()]
    assert batch.seed.dtype == torch.int64 and len(set(batch.seed.tolist())) == 3


def test_batches_do_not_depend_on_the_number_of_workers(source):
    alone, shared = (
        take(4, source, batch_size=2, seed=3),
        take(4, source, batch_size=2, seed=3, num_workers=2),
    )
    assert all(equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_entering_in_the_middle_gives_the_same_batches_and_decodes_nothing_before(source, monkeypatch):
    whole = take(6, source, batch_size=2, seed=3)
    reads = []
    monkeypatch.setattr(
        frames_module,
        "read_frames",
        lambda *a, read=frames_module.read_frames, **k: reads.append(a) or read(*a, **k),
    )
    resumed = take(2, source, batch_size=2, seed=3, start_step=4)
    assert all(equal(a, b) for a, b in zip(whole[4:], resumed, strict=True))
    assert len(reads) == 4 + 2  # `zip` asks for one batch more than it needs


def test_two_ranks_share_the_batches_of_one(source):
    one = take(3, source, batch_size=2, seed=5)
    ranks = [take(3, source, batch_size=1, seed=5, rank=rank, world_size=2) for rank in range(2)]
    for whole, first, second in zip(one, *ranks, strict=True):
        assert torch.equal(whole.clip, torch.cat([first.clip, second.clip]))
        assert torch.equal(whole.seed, torch.cat([first.seed, second.seed]))


@given(
    st.integers(1, 50),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 5),
    st.integers(0, 99),
)
def test_an_epoch_takes_every_video_at_most_as_often_as_asked(n, batch_size, world_size, clips, epoch, seed):
    steps = steps_per_epoch(n, batch_size=batch_size, world_size=world_size, clips_per_video=clips)
    draws = [
        draw
        for step in range(epoch * steps, (epoch + 1) * steps)
        for rank in range(world_size)
        for draw in draws_of_step(
            step,
            num_videos=n,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            clips_per_video=clips,
        )
    ]
    assert len(set(draws)) == len(draws) == steps * batch_size * world_size
    assert {draw.epoch for draw in draws} == {epoch}
    rows = np.bincount([draw.row for draw in draws], minlength=n)
    if n * clips >= batch_size * world_size:
        assert rows.max() <= clips and rows.sum() > n * clips - batch_size * world_size
    else:
        assert rows.min() >= clips * (len(draws) // (n * clips))


def test_another_epoch_has_another_order():
    steps = [draws_of_step(step, num_videos=20, batch_size=2, seed=1) for step in range(20)]
    first, second = ([draw.row for draws in half for draw in draws] for half in (steps[:10], steps[10:]))
    assert sorted(first) == sorted(second) == list(range(20)) and first != second


def test_several_clips_of_one_video_come_from_one_decode(source, monkeypatch):
    reads = []
    monkeypatch.setattr(
        frames_module,
        "read_frames",
        lambda *a, read=frames_module.read_frames, **k: reads.append(a) or read(*a, **k),
    )
    batch = next(batches(source, batch_size=6, seed=1, clips_per_video=3))
    assert len(reads) == 2 and len(set(batch.row.tolist())) == 2
    assert len(set(batch.seed.tolist())) == 6
    one_by_one = [
        source.read(d.row, d.generator(1))
        for d in draws_of_step(0, num_videos=6, batch_size=6, seed=1, clips_per_video=3)
    ]
    assert torch.equal(batch.clip, torch.from_numpy(np.stack(one_by_one)))


def test_a_training_clip_holds_neighbouring_frames(source):
    source.area, area = (1.0, 1.0), source.area
    try:
        clip = source.read(3, np.random.default_rng(0))
    finally:
        source.area = area
    full = frames_module.read_frames(
        source.video_root / "v3.mp4", source.random_indices(3, np.random.default_rng(0))
    )
    numbers = [number_of(f) for f in full]
    assert clip.shape == (3, 8, 32, 32)
    assert np.diff(numbers).tolist() == [2] * 7 and 300 <= numbers[0] < 343


def test_views_come_in_order_with_their_frames(source):
    found = list(views(source, num_clips=2, num_crops=3, rows=[1, 5]))
    assert [(v.row, v.crop) for v in found] == [(r, c) for r in (1, 5) for _ in range(2) for c in range(3)]
    assert [v.start_frame for v in found[::3]] == [7, 20, 0, 0]
    assert all(v.clip.shape == (3, 8, 32, 32) and v.clip.dtype == torch.uint8 for v in found)
    assert not torch.equal(found[0].clip, found[2].clip)


def test_views_hold_the_frames_that_they_name(source):
    source.short_side, source.size, old = 48, 48, (source.short_side, source.size)
    try:
        loaded = source.load_views(1, num_clips=2)
        short = source.load_views(5, num_clips=1)
    finally:
        source.short_side, source.size = old
    numbers = [[number_of(loaded.frames[i]) for i in positions] for positions in loaded.positions]
    assert numbers == [[100 + 7 + 2 * i for i in range(8)], [100 + 20 + 2 * i for i in range(8)]]
    assert [number_of(short.frames[i]) for i in short.positions[0]] == [500 + (2 * i) % 5 for i in range(8)]


def test_views_do_not_depend_on_the_number_of_workers(source):
    alone = list(views(source, num_clips=2, num_crops=1))
    shared = list(views(source, num_clips=2, num_crops=1, num_workers=2))
    assert len(alone) == 12
    assert all(a[:3] == b[:3] and torch.equal(a.clip, b.clip) for a, b in zip(alone, shared, strict=True))


def test_segments_take_one_frame_from_each_part(source):
    sparse = FrameSource(source.manifest, source.video_root, clip_length=4, size=32, sampling="segments")
    assert sparse.random_indices(0, np.random.default_rng(0)).tolist() == pytest.approx(
        [5, 15, 25, 35], abs=5
    )
    assert sparse.load_views(0, num_clips=1).positions.shape == (1, 4)


def test_a_source_without_videos_is_an_error(source):
    empty = FrameSource(source.manifest.shard(0, 100), source.video_root, clip_length=4, size=32)
    with pytest.raises(ValueError, match="without videos"):
        next(batches(empty, batch_size=1, seed=0))


@pytest.mark.timeout(60)
def test_workers_start_although_opencv_has_used_threads_before():
    """Forked processes that touch OpenCV's threads would wait for ever; in a process of its own, to be sure."""
    code = """
import cv2, numpy as np
from lgdnet.loader.batches import load
cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000), np.float32), (0, 0), 5)
print(sorted(load([10, 20], [0, 1], num_workers=1)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True
    )
    assert done.stdout.strip() == "[10, 20]"
