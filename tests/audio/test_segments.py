"""Segments of sound lie where the clips of the other streams lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgdnet.audio.grid import LOG_FLOOR, NUM_MELS
from lgdnet.audio.noise import add_white_noise, mean_power, noise_generator
from lgdnet.audio.segments import clip_centres_sec, cut_segment, first_mel_frame


def test_the_centre_of_a_clip_is_the_middle_of_what_it_shows():
    def centres(starts, clip_length, frame_stride):
        return clip_centres_sec(
            starts, clip_length=clip_length, frame_stride=frame_stride, num_video_frames=100, fps=25.0
        ).tolist()

    assert centres([0, 50], 16, 1) == pytest.approx([0.32, 2.32])
    assert centres([0], 16, 4) == pytest.approx([1.28])
    assert centres([0], 128, 1) == pytest.approx([2.0])  # the clip loops: the middle of the video


@given(centre=st.floats(0, 100), start=st.floats(-1, 5), frames=st.integers(1, 400))
def test_a_segment_is_centred_within_half_a_log_mel_frame(centre, start, frames):
    first = first_mel_frame(centre, start_sec=start, segment_frames=frames)
    middle_sec = start + (first + (frames - 1) / 2) / 100
    assert abs(middle_sec - centre) <= 0.005 + 1e-9


def test_a_late_track_moves_its_segments_back():
    on_time = first_mel_frame(3.0, start_sec=0.0, segment_frames=255)
    assert first_mel_frame(3.0, start_sec=0.5, segment_frames=255) == on_time - 50


@pytest.mark.parametrize(
    "first, inside", [(-3, slice(3, 8)), (2, slice(0, 6)), (100, slice(0, 0)), (-50, slice(0, 0))]
)
def test_beyond_the_track_lies_silence(first, inside):
    mel = np.arange(8, dtype=np.float32)[:, None] * np.ones((1, NUM_MELS), np.float32)
    segment = cut_segment(mel, first, 8)
    silence = np.ones(8, bool)
    silence[inside] = False
    assert segment.shape == (8, NUM_MELS) and (segment[silence] == np.float32(LOG_FLOOR)).all()
    np.testing.assert_array_equal(segment[inside, 0], np.arange(8)[max(first, 0) :][: (~silence).sum()])


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 20.0])
def test_noise_has_the_level_that_was_asked_for(snr_db):
    sound = np.sin(np.arange(160_000) / 7).astype(np.float32)
    blocks = [sound[:100_000], sound[100_000:]]
    noisy = np.concatenate(
        list(
            add_white_noise(
                blocks, snr_db=snr_db, power=mean_power(blocks), generator=noise_generator(1, "a")
            )
        )
    )
    noise = noisy - sound
    assert 10 * np.log10(np.square(sound).mean() / np.square(noise).mean()) == pytest.approx(snr_db, abs=0.1)


def test_noise_belongs_to_a_seed_and_a_video_and_to_nothing_else():
    def noise(seed, video_id, lengths):
        blocks = [np.zeros(n, np.float32) for n in lengths]
        return np.concatenate(
            list(add_white_noise(blocks, snr_db=0, power=1.0, generator=noise_generator(seed, video_id)))
        )

    np.testing.assert_array_equal(noise(1, "a", [100, 200]), noise(1, "a", [300]))
    assert not np.allclose(noise(1, "a", [300]), noise(2, "a", [300]))
    assert not np.allclose(noise(1, "a", [300]), noise(1, "b", [300]))


def test_silence_stays_silent_under_relative_noise():
    silence = [np.zeros(100, np.float32)]
    noisy = add_white_noise(silence, snr_db=0, power=mean_power(silence), generator=noise_generator(1, "a"))
    assert not np.concatenate(list(noisy)).any()
    assert mean_power([]) == 0.0


def test_where_the_rate_varies_the_centre_is_when_the_middle_frame_is_shown():
    times = np.concatenate([np.arange(150) / 30, 5 + np.arange(50) / 10])
    centres = clip_centres_sec(
        [0, 142, 170, 184],
        clip_length=16,
        frame_stride=1,
        num_video_frames=200,
        fps=20,
        frame_times_sec=times,
    )
    assert centres.tolist() == pytest.approx([8 / 30, 5.0, 7.8, 9.2])
    one_frame = clip_centres_sec(
        [1], clip_length=1, frame_stride=1, num_video_frames=2, fps=2, frame_times_sec=np.array([0.0, 3.0])
    )
    assert one_frame.tolist() == [3.25]
