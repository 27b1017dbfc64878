"""Pixels keep their meaning on the way to the network."""

import numpy as np
import pytest
import torch

from lgdnet.augment import crop_and_resize, eval_transform, train_transform
from lgdnet.batch import Batch
from lgdnet.clips import Box
from lgdnet.modalities import MODALITIES

CPU = torch.device("cpu")


def batch_of(clip, seeds=None):
    n = len(clip)
    seeds = torch.arange(n) if seeds is None else torch.tensor(seeds)
    return Batch(clip, torch.arange(n), torch.arange(n), seeds)


def test_mirroring_flow_negates_horizontal_motion():
    flow = torch.zeros(1, 2, 1, 1, 4)
    flow[0, 0, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    flow[0, 1, 0, 0] = torch.tensor([5.0, 6.0, 7.0, 8.0])
    mirrored = MODALITIES["flow"].mirror(flow)
    assert mirrored[0, 0, 0, 0].tolist() == [-4, -3, -2, -1]
    assert mirrored[0, 1, 0, 0].tolist() == [8, 7, 6, 5]


@pytest.mark.parametrize("name", MODALITIES)
def test_mirroring_twice_gives_the_clip_back(name):
    clip = torch.randn(2, MODALITIES[name].channels, 3, 4, 5)
    mirror = MODALITIES[name].mirror
    assert torch.equal(mirror(mirror(clip)), clip)


def test_no_motion_is_zero_and_the_bound_is_one():
    flow = torch.tensor([128, 255, 1], dtype=torch.uint8).view(1, 1, 3, 1, 1).expand(1, 2, 3, 1, 1)
    normalised = eval_transform(MODALITIES["flow"])(flow, CPU)
    assert torch.allclose(normalised[0, 0, :, 0, 0], torch.tensor([0.0, 1.0, -1.0]), atol=1e-6)


def test_sound_passes_as_it_is():
    clip = torch.randn(2, 1, 8, 9)
    assert torch.equal(train_transform(MODALITIES["audio"])(batch_of(clip), CPU)[0], clip)


def test_frames_of_mean_colour_become_zero():
    mean = torch.tensor(MODALITIES["frame"].mean).mul(255).round().to(torch.uint8)
    clip = mean.view(1, 3, 1, 1, 1).expand(1, 3, 2, 4, 4)
    assert eval_transform(MODALITIES["frame"])(clip, CPU).abs().max() < 0.02


def test_about_half_of_the_clips_are_mirrored_and_the_same_ones_every_time():
    clip = torch.arange(8, dtype=torch.uint8).expand(200, 3, 2, 8, 8).contiguous()
    transform = train_transform(MODALITIES["frame"])
    first, target = transform(batch_of(clip), CPU)
    mirrored = first[:, 0, 0, 0, 0] > first[:, 0, 0, 0, -1]
    assert 70 < mirrored.sum() < 130 and target.tolist() == list(range(200))
    assert torch.equal(first, transform(batch_of(clip), CPU)[0])
    alone = transform(batch_of(clip[:1], seeds=[17]), CPU)[0]
    assert torch.equal(alone[0], first[17])  # the draw belongs to the clip, not to its place in the batch


def test_a_window_is_the_same_in_every_frame_and_channel_order_changes():
    frames = np.random.default_rng(0).integers(0, 255, (4, 40, 60, 3), dtype=np.uint8)
    clip = crop_and_resize(frames, Box(4, 8, 20, 20), 20)
    assert clip.shape == (3, 4, 20, 20) and clip.flags.c_contiguous
    assert np.array_equal(clip, frames[:, 4:24, 8:28].transpose(3, 0, 1, 2))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_window_is_scaled_for_any_number_of_channels(channels):
    frames = np.full((2, 40, 60, channels), 77, np.uint8)
    clip = crop_and_resize(frames, Box(0, 0, 40, 50), 16)
    assert clip.shape == (channels, 2, 16, 16) and (clip == 77).all()
