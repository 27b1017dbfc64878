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


# Everything below: on whole batches, one draw per clip.

FRAME = MODALITIES["frame"]
OPTIONS = {
    "colour": {"colour": 0.4},
    "grey": {"grey": 0.5},
    "blur": {"blur": 0.5},
    "rand": {"rand_operations": 2},
    "erase": {"erase": 0.5},
    "everything": {"colour": 0.4, "grey": 0.2, "blur": 0.5, "rand_operations": 2, "erase": 0.5, "flip": 0.5},
}


def pictures(n, T=3, size=24):
    """Still clips of n different smooth pictures."""
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    colours = [torch.stack([x * (i + 1) / n, y, 1 - x * y]) for i in range(n)]
    return (
        torch.stack(colours)[:, :, None]
        .expand(n, 3, T, size, size)
        .mul(255)
        .round()
        .to(torch.uint8)
        .contiguous()
    )


@pytest.mark.parametrize("case", OPTIONS)
def test_all_frames_of_a_clip_change_alike_and_the_draw_belongs_to_the_clip(case):
    transform = train_transform(FRAME, **{"flip": 0.0, **OPTIONS[case]})
    batch = batch_of(pictures(12))
    out, target = transform(batch, CPU)
    assert out.shape == batch.clip.shape and torch.isfinite(out).all() and target.tolist() == list(range(12))
    assert torch.allclose(out, out[:, :, :1].expand_as(out), atol=1e-5)
    assert torch.equal(out, transform(batch, CPU)[0])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = transform(Batch(*(x[order] for x in batch)), CPU)[0]
    assert torch.allclose(shuffled, out[order], atol=1e-5)
    changed = (out - eval_transform(FRAME)(batch.clip, CPU)).abs().amax((1, 2, 3, 4)) > 1e-3
    assert changed.any()


@pytest.mark.parametrize("name", ["flow", "audio"])
def test_colour_changes_leave_flow_and_sound_alone(name):
    modality = MODALITIES[name]
    clip = (
        torch.randint(0, 255, (4, 2, 3, 8, 8), dtype=torch.uint8)
        if name == "flow"
        else torch.randn(4, 1, 8, 9)
    )
    transform = train_transform(modality, flip=0, colour=0.4, grey=1, blur=1, rand_operations=2)
    assert torch.equal(transform(batch_of(clip), CPU)[0], eval_transform(modality)(clip, CPU))


def test_grey_has_equal_channels_and_keeps_brightness():
    from lgdnet.augment.colour import grey_of, random_grey

    clip = pictures(6) / 255
    grey = random_grey(clip, torch.arange(6), 1.0)
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.allclose(grey_of(grey), grey_of(clip), atol=1e-5)


def test_a_full_turn_of_the_hue_changes_nothing_and_a_third_swaps_colours():
    from lgdnet.augment.colour import hue

    red = torch.tensor([0.6, 0.3, 0.3]).view(1, 3, 1, 1, 1)
    assert torch.allclose(hue(red, torch.tensor([1.0])), red, atol=1e-4)
    turned = hue(red, torch.tensor([1 / 3]))[0, :, 0, 0, 0]
    assert turned.argmax() != 0 and not torch.allclose(turned, red[0, :, 0, 0, 0], atol=0.05)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_a_factor_of_one_changes_nothing(name):
    from lgdnet.augment import colour

    clip = pictures(3) / 255
    assert torch.allclose(getattr(colour, name)(clip, torch.ones(3)), clip, atol=1e-6)


def test_batched_blur_equals_opencv_clip_by_clip():
    import cv2

    from lgdnet.augment.colour import gaussian_blur

    clip = torch.rand(3, 3, 2, 20, 26, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.5, 1.0, 1.9])
    blurred = gaussian_blur(clip, sigma)
    for i in range(3):
        frame = clip[i, :, 1].permute(1, 2, 0).numpy()
        right = cv2.GaussianBlur(frame, (13, 13), float(sigma[i]), borderType=cv2.BORDER_REPLICATE)
        assert np.abs(blurred[i, :, 1].permute(1, 2, 0).numpy() - right).max() < 1e-4


@pytest.mark.parametrize(
    "name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y", "posterize", "solarize"]
)
def test_operations_of_magnitude_zero_change_next_to_nothing(name):
    from lgdnet.augment.rand_augment import OPERATIONS

    clip = pictures(2) / 255 * 0.9
    assert torch.allclose(OPERATIONS[name](clip, torch.zeros(2)), clip, atol=1 / 255)


def test_rotation_turns_and_translation_shifts():
    from lgdnet.augment.rand_augment import rotate, translate_x

    clip = torch.zeros(1, 3, 1, 31, 61)
    clip[..., 15, 50] = 1.0  # right of the middle
    bright = (rotate(clip, torch.tensor([1.0])) - 0).abs()[0, 0, 0]
    y, x = np.unravel_index(int((bright * (bright < 0.99)).argmax()), bright.shape)
    assert abs((y - 15) ** 2 + (x - 30) ** 2 - 20**2) < 45 and abs(abs(y - 15) - 10) <= 1  # 30 degrees
    shifted = translate_x(clip, torch.tensor([0.2]))[0, 0, 0, 15]
    assert abs(int(shifted[:55].argmax()) - (50 - round(0.9 * 0.2 * 61 / 2))) <= 1


def test_mixup_mixes_clip_and_target_by_the_same_weight():
    clip = torch.zeros(2, 3, 2, 8, 8, dtype=torch.uint8)
    clip[1] = 255
    transform = train_transform(FRAME, flip=0, mixup_alpha=1.0, num_classes=3)
    out, target = transform(batch_of(clip), CPU)
    white = eval_transform(FRAME)(clip, CPU)
    share = ((out[0] - white[0]) / (white[1] - white[0])).mean()
    assert target.shape == (2, 3) and torch.allclose(target.sum(1), torch.ones(2))
    assert target[0, 1].item() == pytest.approx(share.item(), abs=1e-5) and 0.01 < share < 0.99


def test_cutmix_weighs_the_target_by_the_window():
    clip = torch.zeros(8, 3, 2, 16, 16, dtype=torch.uint8)
    clip[::2] = 255
    out, target = train_transform(FRAME, flip=0, cutmix_alpha=1.0, num_classes=8)(batch_of(clip), CPU)
    plain = eval_transform(FRAME)(clip, CPU)
    share = (out != plain)[:, 0, 0].float().mean((1, 2))
    own = target[torch.arange(8), torch.arange(8)]
    assert torch.allclose(1 - own, share, atol=1e-5) and (share > 0.05).any() and (share < 0.95).any()


def test_with_both_alphas_some_batches_are_mixed_and_some_cut():
    clip = torch.zeros(4, 3, 1, 16, 16, dtype=torch.uint8)
    clip[::2] = 255
    transform = train_transform(FRAME, flip=0, mixup_alpha=1.0, cutmix_alpha=1.0, num_classes=4)
    kinds = set()
    for first in range(6):
        values = transform(batch_of(clip, seeds=[first, 1, 2, 3]), CPU)[0][:, 0].unique()
        kinds.add("cut" if len(values) == 2 else "mixed")
    assert kinds == {"cut", "mixed"}


def test_mixing_without_the_number_of_classes_is_an_error():
    with pytest.raises(ValueError, match="mixup and cutmix need num_classes"):
        train_transform(FRAME, mixup_alpha=0.2)


def test_erasing_sets_one_window_to_the_mean_colour():
    out, _ = train_transform(FRAME, flip=0, erase=1.0)(batch_of(pictures(20, size=32)), CPU)
    share = (out == 0).all(1).all(1).float().mean((1, 2))
    assert (share > 0.015).all() and (share < 0.36).all()
