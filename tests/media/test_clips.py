"""Clip and crop arithmetic: properties over random cases, and the cases that the words name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgdnet.clips import (
    centre_crop,
    clip_span,
    clip_starts,
    crop_boxes,
    frame_indices,
    random_clip_start,
    random_crop_box,
    scaled_size,
    segment_frames,
)

lengths = st.integers(1, 2000)
clip_lengths = st.sampled_from([1, 8, 16, 128])
strides = st.integers(1, 8)


@given(lengths, clip_lengths, strides, st.integers(1, 30))
def test_uniform_clips_lie_inside_the_video_in_order_and_symmetrically(n, T, stride, num_clips):
    starts = clip_starts(n, num_clips=num_clips, clip_length=T, frame_stride=stride)
    last = max(n - clip_span(T, stride), 0)
    assert len(starts) == num_clips
    assert starts == sorted(starts)
    assert starts[0] >= 0 and starts[-1] <= last
    assert all(abs(a + b - last) <= 1 for a, b in zip(starts, reversed(starts), strict=True))


def test_twenty_clips_of_a_ten_second_video_are_centred_in_twenty_equal_segments():
    starts = clip_starts(300, num_clips=20, clip_length=16)
    assert starts[:3] == [7, 21, 36] and starts[-1] == 277


@given(lengths, clip_lengths, strides, st.integers(1, 30), st.integers(0, 20))
def test_every_draw_puts_each_clip_into_its_own_segment(n, T, stride, num_clips, draw):
    starts = clip_starts(n, num_clips=num_clips, clip_length=T, frame_stride=stride, draw=draw)
    last = max(n - clip_span(T, stride), 0)
    for i, start in enumerate(starts):
        assert i * last / num_clips - 0.5 <= start <= (i + 1) * last / num_clips + 0.5


def test_draws_lie_at_a_half_a_quarter_three_quarters_and_so_on():
    starts = [clip_starts(816, num_clips=1, clip_length=16, draw=draw)[0] for draw in range(7)]
    assert starts == [400, 200, 600, 100, 500, 300, 700]


def test_clips_of_a_video_that_is_too_short_all_start_at_its_first_frame():
    assert clip_starts(10, num_clips=3, clip_length=16) == [0, 0, 0]


@given(lengths, clip_lengths, strides, st.integers(0, 2**32))
def test_a_random_clip_lies_inside_the_video_when_it_fits(n, T, stride, seed):
    start = random_clip_start(n, clip_length=T, frame_stride=stride, generator=np.random.default_rng(seed))
    indices = frame_indices(start, clip_length=T, frame_stride=stride, num_video_frames=n)
    assert indices.shape == (T,)
    assert indices.min() >= 0 and indices.max() < n
    if clip_span(T, stride) <= n:
        assert (np.diff(indices) == stride).all()
    else:
        assert start == 0


def test_random_clips_reach_both_ends_of_the_video():
    generator = np.random.default_rng(0)
    starts = {random_clip_start(20, clip_length=16, frame_stride=1, generator=generator) for _ in range(200)}
    assert starts == {0, 1, 2, 3, 4}


def test_a_short_video_starts_again_at_its_first_frame():
    assert frame_indices(0, clip_length=7, num_video_frames=3).tolist() == [0, 1, 2, 0, 1, 2, 0]


@given(lengths, st.integers(1, 64), st.one_of(st.none(), st.integers(0, 2**32)))
def test_every_segment_gives_one_frame_of_its_own_part(n, num_segments, seed):
    generator = None if seed is None else np.random.default_rng(seed)
    indices = segment_frames(n, num_segments=num_segments, generator=generator)
    assert len(indices) == num_segments and (np.diff(indices) >= 0).all()
    for i, index in enumerate(indices):
        assert i * n // num_segments <= index <= (i + 1) * n / num_segments
        assert 0 <= index < n


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(8, 300))
def test_scaling_keeps_the_aspect_ratio_and_makes_the_short_side_exact(height, width, short_side):
    H, W = scaled_size(height, width, short_side=short_side)
    assert min(H, W) == short_side
    assert (H <= W) == (height <= width) or H == W
    assert abs(max(H, W) - short_side * max(height, width) / min(height, width)) <= 0.5


def test_without_a_short_side_nothing_is_scaled():
    assert scaled_size(240, 320, short_side=None) == (240, 320)


@given(st.integers(32, 400), st.integers(32, 400), st.sampled_from([1, 3]))
def test_crops_lie_inside_and_three_of_them_reach_both_ends(height, width, num_crops):
    size = min(height, width)
    boxes = crop_boxes(height, width, size=size, num_crops=num_crops)
    assert len(boxes) == num_crops
    for box in boxes:
        assert (box.height, box.width) == (size, size)
        assert 0 <= box.top <= height - size and 0 <= box.left <= width - size
    if num_crops == 3:
        assert boxes[1] == centre_crop(height, width, size=size)
        assert (boxes[0].top, boxes[0].left) == (0, 0)
        assert (boxes[2].top + size, boxes[2].left + size) == (height, width)


@given(st.integers(16, 500), st.integers(16, 500), st.integers(0, 2**32))
def test_a_random_window_lies_inside_and_keeps_to_area_and_ratio(height, width, seed):
    box = random_crop_box(height, width, generator=np.random.default_rng(seed), area=(0.2, 1.0))
    assert box.top >= 0 and box.top + box.height <= height
    assert box.left >= 0 and box.left + box.width <= width
    assert 0.72 * 0.9 <= box.width / box.height <= 1.34 * 1.1 or min(height, width) / max(height, width) < 0.6


def test_a_window_that_never_fits_falls_back_to_the_middle():
    box = random_crop_box(16, 1000, generator=np.random.default_rng(0), area=(1.0, 1.0))
    assert box.height == 16 and box.width == round(16 * 4 / 3)
    assert box.left == pytest.approx((1000 - box.width) / 2, abs=1)
