"""A click and a flash of the same instant are found at the same time through both readers."""

import numpy as np
import pytest

from lgdnet.audio.grid import FRAMES_PER_SEC
from lgdnet.audio.logmel import log_mel
from lgdnet.audio.reading import read_sound
from lgdnet.audio.segments import segment_places
from lgdnet.video import probe, read_frames

FPS = 25
FLASHES = (20, 45, 61)  # video frames
DURATION_SEC = 4.0


def clicks(rate: int, *, start_sec: float) -> np.ndarray:
    """A sound that begins at `start_sec` and clicks for 2 ms when a frame of FLASHES is first shown."""
    sound = np.zeros(int((DURATION_SEC - start_sec) * rate), np.float32)
    for flash in FLASHES:
        first = round((flash / FPS - start_sec) * rate)
        sound[first : first + rate // 500] = 0.9
    return sound


def flashes() -> np.ndarray:
    pictures = np.zeros((int(DURATION_SEC * FPS), 48, 64, 3), np.uint8)
    pictures[list(FLASHES)] = 255
    return pictures


def times_of_flashes_sec(path) -> np.ndarray:
    """When the bright frames are shown, by frame number and rate."""
    facts = probe(path)
    frames = read_frames(path, np.arange(facts.num_frames), backend=facts.backend)
    return np.flatnonzero(frames.mean((1, 2, 3)) > 128) / facts.fps


def times_of_clicks_sec(path) -> np.ndarray:
    """First loud sample of each click, on the clock of the pictures."""
    samples, facts = read_sound(path)
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    first = loud[np.r_[True, np.diff(loud) > 1600]]
    return facts.start_sec + first / 16_000


CASES = {
    "mp4 with AAC": ("a.mp4", "aac", 44_100, {}),
    "mp4 with AAC, late sound": ("a.mp4", "aac", 44_100, {"sound_start_sec": 0.4}),
    "mp4 with AAC, late pictures": ("a.mp4", "aac", 44_100, {"pictures_start_sec": 0.52}),
    "Matroska with FLAC, late sound": ("a.mkv", "flac", 48_000, {"sound_start_sec": 0.4}),
    "Matroska with Opus, late sound": ("a.mkv", "libopus", 48_000, {"sound_start_sec": 0.4}),
    "AVI with PCM": ("a.avi", "pcm_s16le", 16_000, {}),
    "QuickTime with PCM": ("a.mov", "pcm_s16le", 16_000, {}),
    "transport stream with AAC": ("a.ts", "aac", 48_000, {"sound_start_sec": 0.4}),
    "program stream with MP2, late sound": ("a.mpg", "mp2", 48_000, {"sound_start_sec": 0.4}),
    "sound of 8 kHz": ("a.mkv", "flac", 8_000, {"sound_start_sec": 0.4}),
}


@pytest.mark.parametrize("case", CASES)
def test_click_and_flash_are_found_within_10_ms_of_each_other(make, case):
    name, codec, rate, late = CASES[case]
    start_sec = late.get("sound_start_sec", 0.0) - late.get("pictures_start_sec", 0.0)
    path = make(
        name, clicks(rate, start_sec=start_sec), rate=rate, codec=codec, pictures=flashes(), fps=FPS, **late
    )
    seen, heard = times_of_flashes_sec(path), times_of_clicks_sec(path)
    np.testing.assert_allclose(seen, np.array(FLASHES) / FPS, atol=1e-6)
    np.testing.assert_allclose(heard, seen, atol=0.010)


def test_compressed_sound_in_avi_is_late_by_the_delay_of_its_encoder(make):
    """What docs/audio.md says: AVI has no time stamps that could tell of the delay."""
    sound = clicks(44_100, start_sec=0.0)
    late_sec = {}
    for name in ("a.avi", "a.mkv"):
        path = make(name, sound, rate=44_100, codec="libmp3lame", pictures=flashes(), fps=FPS)
        late_sec[name] = times_of_clicks_sec(path) - times_of_flashes_sec(path)
    np.testing.assert_allclose(late_sec["a.avi"], 0.025, atol=0.002)
    np.testing.assert_allclose(late_sec["a.mkv"], 0.0, atol=0.002)


def test_the_segment_beside_a_clip_holds_the_click_of_its_flash(make):
    late = 0.4
    path = make(
        "a.mp4",
        clicks(44_100, start_sec=late),
        rate=44_100,
        codec="aac",
        pictures=flashes(),
        sound_start_sec=late,
    )
    samples, facts = read_sound(path)
    mel = log_mel(samples)
    starts, firsts = segment_places(
        num_video_frames=100, fps=25.0, num_mel_frames=len(mel), start_sec=facts.start_sec,
        num_clips=20, clip_length=16, segment_frames=64,
    )  # fmt: skip
    frames = read_frames(path, range(100))
    found = 0
    for start, first in zip(starts, firsts, strict=True):
        bright = np.flatnonzero(frames[start : start + 16].mean((1, 2, 3)) > 128)
        if len(bright) != 1 or first < 0:
            continue
        loudest = int(mel[first : first + 64].mean(1).argmax())
        # 64 log-mel frames are the 16 pictures of the clip, four each
        assert loudest / FRAMES_PER_SEC == pytest.approx(bright[0] / FPS, abs=0.011)
        found += 1
    assert found >= 8
