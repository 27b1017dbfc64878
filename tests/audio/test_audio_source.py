"""The audio source: segments beside the clips of the other streams, standardised, silence where there is none."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from lgdnet.artefact import provenance
from lgdnet.audio.grid import LOG_FLOOR, NUM_MELS
from lgdnet.audio.reading import SoundFacts
from lgdnet.audio.statistics import MelStatistics
from lgdnet.audio.storage import MelStore, MelWriter
from lgdnet.clips import clip_starts
from lgdnet.loader.audio import AudioSource
from lgdnet.loader.batches import batches, views
from lgdnet.manifest import read_manifest, write_manifest
from lgdnet.spec_augment import in_any_span, spec_augment

PLAIN = MelStatistics(np.zeros(NUM_MELS, np.float32), np.ones(NUM_MELS, np.float32))


def counting(num_frames: int) -> np.ndarray:
    """Frame i holds i in every bin: where a segment was cut can be read from it."""
    return np.repeat(np.arange(num_frames, dtype=np.float32)[:, None], NUM_MELS, 1)


@pytest.fixture
def source(tmp_path):
    """10 s at 25 pictures per second; the same 0.5 s late; no sound; silence; half a second; sound alone."""
    heard = SoundFacts(has_audio=True, duration_sec=10.0, peak=0.5)
    late = SoundFacts(has_audio=True, duration_sec=9.5, start_sec=0.5, peak=0.5)
    silent = SoundFacts(has_audio=True, duration_sec=10.0)
    videos = [
        ("on_time", 250, 1001, heard), ("late", 250, 951, late), ("mute", 250, 0, SoundFacts()),
        ("silent", 250, 1001, silent), ("short", 12, 51, heard), ("alone", 0, 1001, heard),
    ]  # fmt: skip
    with MelWriter(tmp_path / "0.h5", provenance=provenance({}, {})) as writer:
        for video_id, _, num_mel_frames, facts in videos:
            writer.add_frames(counting(num_mel_frames))
            writer.end_video(video_id, facts)
    rows = [(name, f"{name}.mp4", "", i, n, 25.0) for i, (name, n, _, _) in enumerate(videos)]
    columns = ["video_id", "path", "label", "class_index", "num_frames", "fps"]
    write_manifest(tmp_path / "m.csv", pd.DataFrame(rows, columns=columns))
    return AudioSource(
        read_manifest(tmp_path / "m.csv"),
        MelStore([tmp_path / "0.h5"]),
        PLAIN,
        segment_frames=256,
        clip_length=16,
    )


def test_twenty_segments_are_centred_where_the_twenty_clips_are(source):
    found = list(views(source, num_clips=20, rows=[0]))
    starts = clip_starts(250, num_clips=20, clip_length=16)
    assert [view.start_frame for view in found] == starts
    for view, start in zip(found, starts, strict=True):
        assert view.clip.shape == (1, NUM_MELS, 256) and view.clip.dtype == torch.float32
        inside = view.clip[0, 0] > LOG_FLOOR + 1
        frames = torch.where(inside, view.clip[0, 0], torch.nan)
        # what lies at position p of the segment is frame centre - 127.5 + p
        offset = (frames - torch.arange(256)).nanmean().item()
        assert offset + 127.5 == pytest.approx((start + 8) / 25 * 100, abs=0.51)


def test_a_late_track_gives_the_same_moments(source):
    on_time, late = (torch.stack([v.clip for v in views(source, num_clips=5, rows=[row])]) for row in (0, 1))
    both = (on_time > 49) & (late > LOG_FLOOR + 1)
    assert both.any(0).any() and torch.equal(late[both], on_time[both] - 50)


def test_a_short_sound_lies_around_the_middle_of_its_video(source):
    (view,) = views(source, num_clips=1, rows=[4])
    inside = (view.clip[0, 0] > LOG_FLOOR + 1).nonzero().flatten()
    assert len(inside) == 51 and abs(float(inside.float().mean()) - 127.5 - 1) <= 1  # 0.24 s against 0.25 s


def test_a_sound_without_pictures_is_cut_evenly_by_its_own_clock(source):
    found = list(views(source, num_clips=4, rows=[5]))
    assert [v.start_frame for v in found] == clip_starts(1001, num_clips=4, clip_length=256)
    assert [int(v.clip[0, 0, 0]) for v in found] == [v.start_frame for v in found]


def test_videos_that_cannot_be_heard_are_known_and_left_out_of_training(source):
    assert source.rows == [0, 1, 4, 5]
    heard = source.manifest.only(np.array([True, True, False, False, True, True]))
    assert heard.video_ids.tolist() == ["on_time", "late", "short", "alone"]
    assert heard.labels.tolist() == pickle.loads(pickle.dumps(heard)).labels.tolist() == [0, 1, 4, 5]


def test_training_segments_are_anywhere_in_the_sound_and_hold_all_of_a_short_one(source):
    firsts = [source.read(0, np.random.default_rng(seed))[0, 0, 0] for seed in range(300)]
    assert min(firsts) >= 0 and max(firsts) <= 1001 - 256 and max(firsts) - min(firsts) > 600
    for seed in range(20):
        segment = source.read(4, np.random.default_rng(seed))[0, 0]
        assert (segment > LOG_FLOOR + 1).sum() == 51


def test_segments_are_standardised_and_silence_is_a_constant(source):
    mean, std = np.linspace(-5, 5, NUM_MELS), np.linspace(1, 3, NUM_MELS)
    source.statistics = MelStatistics(mean.astype(np.float32), std.astype(np.float32))
    segment = source.segment(0, 990)  # 11 frames, then silence
    np.testing.assert_allclose(segment[0, :, 10], (1000 - mean) / std, rtol=1e-3)
    np.testing.assert_allclose(
        segment[0, :, 11:], ((LOG_FLOOR - mean) / std)[:, None].repeat(245, 1), rtol=1e-5
    )


def test_batches_of_sound_do_not_depend_on_workers(source):
    alone, with_worker = (next(batches(source, batch_size=3, seed=1, num_workers=n)) for n in (0, 1))
    assert alone.clip.shape == (3, 1, NUM_MELS, 256)
    assert all(torch.equal(a, b) for a, b in zip(alone, with_worker, strict=True))


# ---- SpecAugment


def test_masks_are_bands_and_stretches_of_at_most_their_size():
    clip = torch.randn(64, 1, 128, 100) + 100
    masked = spec_augment(clip, torch.arange(64), num_masks=1, max_mask_bins=24, max_mask_frames=0.2)
    gone = masked[:, 0] == 0
    bins, frames = gone.all(2).sum(1), gone.all(1).sum(1)
    assert bins.max() <= 24 and frames.max() <= 20 and bins.max() > 15 and frames.max() > 13
    band = gone.all(2, keepdim=True) | gone.all(1, keepdim=True)
    assert torch.equal(gone, band) and torch.equal(masked[:, 0][~gone], clip[:, 0][~gone])
    edges = torch.diff(gone.all(2).int(), dim=1).abs().sum(1)
    assert edges.max() <= 2  # one band, not several


def test_masks_of_a_segment_depend_on_its_seed_alone():
    clip, seeds = torch.randn(8, 1, 128, 50), torch.arange(8)
    order = torch.tensor([5, 3, 7])
    whole, part = spec_augment(clip, seeds), spec_augment(clip[order], seeds[order])
    assert torch.equal(whole[order], part)
    assert not torch.equal(whole, spec_augment(clip, seeds + 100))


def test_gain_moves_a_whole_segment_within_its_bound():
    clip = torch.zeros(50, 1, 128, 10)
    moved = spec_augment(clip, torch.arange(50), num_masks=0, max_gain=0.5)
    assert (moved.amax((1, 2, 3)) == moved.amin((1, 2, 3))).all()
    assert 0.4 < moved.abs().max() <= 0.5 and moved.min() < 0 < moved.max()


def test_a_span_can_touch_both_ends():
    starts, lengths = torch.tensor([[0.0], [0.999]]), torch.tensor([[2.0], [2.9]])
    assert in_any_span(starts, lengths, 5).int().tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]
