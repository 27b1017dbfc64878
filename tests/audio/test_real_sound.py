"""Real files, where the folder that holds them is named by LGDNET_REAL_DATA (its `odd/` and `esc10/`)."""

import csv
import os
import time
from pathlib import Path

import librosa
import numpy as np
import pytest

from lgdnet.audio.grid import POWER_FLOOR
from lgdnet.audio.logmel import log_mel
from lgdnet.audio.reading import probe_sound, read_sound

# Duration of the sound track in seconds; every other file of the folder has none.
ODD_FILES_WITH_SOUND = {
    "flipping_a_pancake.mkv": 10.38,
    "grid_s1_bbaf2n.mpg": 2.98,
    "grid_s1_sgib8n_damaged.mpg": 2.98,
    "mmaction2_test.avi": 6.56,
    "nasa_13013.mp4": 13.06,
    "nasa_13013.mp4.audio.mp3": 13.06,
    "v_GGSY1Qvo990.mp4": 18.16,
}


@pytest.fixture(scope="module")
def real_data() -> Path:
    """The folder of real files."""
    root = os.environ.get("LGDNET_REAL_DATA")
    if not root:
        pytest.skip("LGDNET_REAL_DATA names no folder of real files")
    return Path(root)


def odd_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "odd").iterdir() if path.is_file())


def test_every_odd_file_has_the_right_sound_and_takes_no_time(real_data):
    with (real_data / "manifest.csv").open(newline="") as file:
        listed = {Path(row["path"]).name: row for row in csv.DictReader(file) if row["split"] == "odd"}
    paths = odd_files(real_data)
    assert {path.name for path in paths} == set(listed)
    for path in paths:
        started = time.monotonic()
        facts = probe_sound(path)
        assert time.monotonic() - started < 5, path.name
        assert facts.has_audio == (listed[path.name]["has_audio"] == "1"), path.name
        assert facts.duration_sec == pytest.approx(ODD_FILES_WITH_SOUND.get(path.name, 0.0), abs=0.03), (
            path.name
        )
        assert facts.is_audible == facts.has_audio and facts.num_bad_packets == 0, path.name


def test_log_mel_of_real_files_equals_librosas_in_every_single_bin(real_data):
    paths = [real_data / "odd" / name for name in ODD_FILES_WITH_SOUND]
    paths += sorted((real_data / "esc10" / "clips").glob("*.ogg"))[::40]
    for path in paths:
        samples, _ = read_sound(path)
        power = librosa.feature.melspectrogram(
            y=samples, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=128, fmin=60, fmax=7800
        ).T
        np.testing.assert_allclose(
            np.exp(log_mel(samples)), power + POWER_FLOOR, rtol=1e-4, err_msg=path.name
        )


def test_half_a_real_file_has_half_the_sound_and_says_what_was_promised(real_data, tmp_path):
    whole = real_data / "odd" / "flipping_a_pancake.mkv"
    half = tmp_path / "half.mkv"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    facts = probe_sound(half)
    assert 3.0 < facts.duration_sec < 8.0 < facts.declared_sec
