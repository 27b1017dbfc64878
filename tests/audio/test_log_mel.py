"""Log-mel frames are librosa's, however the sound is cut into blocks."""

import warnings

import librosa
import numpy as np
import pytest

from lgdnet.audio.grid import FRAMES_PER_SEC, HOP_SAMPLES, LOG_FLOOR, NUM_MELS, POWER_FLOOR
from lgdnet.audio.logmel import filter_bank, log_mel, log_mel_blocks
from tests.audio.conftest import tone


def librosas(samples: np.ndarray) -> np.ndarray:
    """(frames, mels), as everybody writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns about sounds shorter than a window
        power = librosa.feature.melspectrogram(
            y=samples, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=128, fmin=60, fmax=7800
        )
    return np.log(power.T + POWER_FLOOR)


@pytest.mark.parametrize("num_samples", [1, 159, 160, 300, 513, 16_000, 20_001])
def test_log_mel_equals_librosas_to_five_decimals_at_every_length(num_samples):
    generator = np.random.default_rng(num_samples)
    loud_low_tone = tone(2.0, hertz=100, level=1.0)[:num_samples]  # beside quiet high bins: the hard case
    sound = loud_low_tone + generator.normal(0, 1e-4, num_samples).astype(np.float32)
    np.testing.assert_allclose(log_mel(sound), librosas(sound), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cuts", [[1], [100, 200, 300], [8000], [159, 160, 161], [400, 15_999]])
def test_frames_do_not_depend_on_where_the_blocks_end(cuts):
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    pieces = list(log_mel_blocks(np.split(sound, cuts)))
    np.testing.assert_allclose(np.concatenate(pieces), log_mel(sound), atol=1e-6)


def test_no_sound_gives_no_frames():
    assert log_mel(np.zeros(0, np.float32)).shape == (0, NUM_MELS)


def test_digital_silence_is_one_number():
    np.testing.assert_allclose(log_mel(np.zeros(4000, np.float32)), LOG_FLOOR, atol=1e-6)


def test_rounding_to_sixteen_bit_hardly_moves_silence():
    steps = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32) / 32768
    assert np.abs(log_mel(steps) - LOG_FLOOR).max() < 0.05


def test_a_click_lies_in_the_frame_of_its_moment():
    sound = np.zeros(16_000, np.float32)
    sound[8000] = 1.0
    assert log_mel(sound).mean(1).argmax() == 8000 / HOP_SAMPLES == 0.5 * FRAMES_PER_SEC


def test_no_filter_is_empty():
    assert filter_bank().shape == (NUM_MELS, 257) and bool((filter_bank().amax(1) > 0).all())
