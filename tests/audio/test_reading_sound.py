"""Sound comes out complete, mono, at 16 kHz, on the clock of the pictures, whatever the container holds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lgdnet.audio import reading
from lgdnet.audio.reading import AudioError, SoundFacts, probe_sound, read_sound
from tests.audio.conftest import tone

BLACK = np.zeros((50, 32, 32, 3), np.uint8)


def test_sixteen_bit_sound_at_16_khz_comes_back_as_it_was(make):
    sound = tone(1.3)
    read, facts = read_sound(make("a.wav", sound))
    np.testing.assert_array_equal(read, np.round(sound * 32767).astype(np.float32) / 32768)
    assert facts == SoundFacts(
        has_audio=True,
        duration_sec=1.3,
        declared_sec=1.3,
        sample_rate=16_000,
        num_channels=1,
        codec="pcm_s16le",
        peak=float(np.abs(read).max()),
    )


def test_two_channels_become_their_mean(make):
    left, right = tone(0.5, hertz=300), tone(0.5, hertz=700)
    read, facts = read_sound(make("a.wav", np.stack([left, right], 1)))
    np.testing.assert_allclose(read, (left + right) / 2, atol=1e-4)
    assert facts.num_channels == 2


@pytest.mark.parametrize("codec", ["flac", "mp2", "aac"])
def test_stereo_is_as_loud_as_mono(make, codec):
    sound = tone(0.5, rate=48_000, hertz=300)
    one = read_sound(make("one.mkv", sound, rate=48_000, codec=codec))[0]
    two = read_sound(make("two.mkv", np.stack([sound, sound], 1), rate=48_000, codec=codec))[0]
    assert np.square(two).mean() == pytest.approx(np.square(one).mean(), rel=0.1)


@pytest.mark.parametrize("channels", [3, 10, 16])
def test_channels_without_names_become_their_mean(make, channels):
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (4000, channels)).astype(np.float32)
    read, facts = read_sound(make("a.wav", sound, layout=f"{channels} channels"))
    np.testing.assert_allclose(read, sound.mean(1), atol=1e-4)
    assert facts.num_channels == channels


def test_collecting_frames_changes_nothing_of_what_the_resampler_returns(make):
    path = make("a.m4a", tone(3.7, rate=44_100), rate=44_100, codec="aac")
    resampler = av.AudioResampler("flt", "mono", 16_000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    expected = np.concatenate([f.to_ndarray()[0] for f in [*frames, *resampler.resample(None)]])
    np.testing.assert_array_equal(read_sound(path)[0], expected)


@pytest.mark.parametrize("name, codec", [("a.mp4", "aac"), ("a.mkv", "flac"), ("a.mov", "pcm_s16le")])
def test_a_track_that_starts_late_says_so(make, name, codec):
    facts = probe_sound(make(name, tone(1.0), codec=codec, pictures=BLACK, sound_start_sec=0.7))
    # AAC needs one frame of 64 ms to swing in; it lies before the sound and belongs to the track
    assert facts.start_sec == pytest.approx(0.7 - 0.064 * (codec == "aac"), abs=0.002)
    assert facts.duration_sec == pytest.approx(1.0, abs=0.12)


def test_the_clock_starts_with_the_first_picture_not_with_the_file(make):
    facts = probe_sound(make("a.mkv", tone(2.0), codec="flac", pictures=BLACK, pictures_start_sec=0.4))
    assert facts.start_sec == pytest.approx(-0.4, abs=0.002)


def test_sound_that_joins_a_transport_stream_after_megabytes_is_found(make, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (75, 256, 256, 3), dtype=np.uint8)
    pictures = make("pictures.ts", pictures=noise)
    both = make(
        "both.ts", tone(1.0), codec="aac", pictures=BLACK, pictures_start_sec=3.0, sound_start_sec=3.0
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(pictures.read_bytes() + both.read_bytes())
    assert joined.stat().st_size > 5_000_000  # what FFmpeg reads to learn of the tracks
    facts = probe_sound(joined)
    assert facts.has_audio and facts.sample_rate == 16_000
    assert facts.start_sec == pytest.approx(3.0 - 0.064, abs=0.002)  # AAC swings in for 64 ms
    assert facts.duration_sec == pytest.approx(1.0, abs=0.12)


def test_missing_sound_in_the_middle_becomes_silence_of_the_same_length(make):
    sound = tone(2.0)
    read, facts = read_sound(make("a.mkv", sound, codec="flac", jumps={16_128: 0.5}))
    kept = np.flatnonzero(np.abs(read) > 0)
    assert facts.num_gaps == 1 and len(read) == 2.5 * 16_000
    np.testing.assert_allclose(read[:16_000], sound[:16_000], atol=1e-3)
    np.testing.assert_allclose(read[-15_000:], sound[-15_000:], atol=1e-3)
    assert np.diff(kept).max() >= 8_000  # half a second of zeros in between


def test_moments_that_come_twice_are_taken_once(monkeypatch):
    sound = np.round(tone(2.0) * 32767).astype(np.int16)

    def frames(_):  # the second second begins half a second too early
        for start in range(0, len(sound), 1000):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1000], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 16_000, Fraction(1, 16_000)
            frame.pts = start if start < 16_000 else start - 8_000
            yield frame

    monkeypatch.setattr(reading.Sound, "_frames", frames)
    read, facts = read_sound(Path("made.wav"))
    assert facts.num_gaps == 1
    np.testing.assert_array_equal(read, np.concatenate([sound[:16_000], sound[24_000:]]) / np.float32(32768))


def test_a_broken_clock_is_not_filled_with_hours_of_silence(make):
    facts = probe_sound(make("a.mkv", tone(2.0), codec="flac", jumps={16_128: 5_000.0}))
    assert facts.num_gaps == 1 and facts.duration_sec == pytest.approx(2.0)


def test_a_track_may_change_its_sample_rate(make, tmp_path):
    slow = make("a.mp2", tone(2.0, rate=44_100, hertz=1000), rate=44_100, codec="mp2")
    fast = make("b.mp2", tone(2.0, rate=48_000, hertz=1000), rate=48_000, codec="mp2")
    both = tmp_path / "c.mp2"
    both.write_bytes(slow.read_bytes() + fast.read_bytes())
    read, facts = read_sound(both)
    assert facts.sample_rate == 44_100 and facts.duration_sec == pytest.approx(4.0, abs=0.05)
    for part in (read[4_000:28_000], read[36_000:60_000]):
        assert np.abs(np.fft.rfft(part)).argmax() * 16_000 / len(part) == pytest.approx(1000, abs=2)


def test_no_track_an_empty_track_and_silence_are_facts(make):
    assert probe_sound(make("none.mp4", pictures=BLACK)) == SoundFacts()
    assert probe_sound(make("empty.wav", np.zeros(0, np.float32))) == SoundFacts()
    silent = probe_sound(make("silent.wav", np.zeros(8000, np.float32)))
    assert silent.has_audio and not silent.is_audible and silent.duration_sec == 0.5
    rounding = np.random.default_rng(0).integers(-1, 2, 8000) / 32767
    assert not probe_sound(make("rounding.wav", rounding.astype(np.float32))).is_audible
    assert probe_sound(make("quiet.wav", tone(0.5, level=0.001))).is_audible


def test_numbers_that_are_none_become_silence(make):
    read, facts = read_sound(make("a.wav", np.full(1000, np.nan, np.float32), codec="pcm_f32le"))
    assert len(read) == 1000 and not read.any() and not facts.is_audible


def test_a_damaged_track_keeps_its_length(make):
    path = make("a.mkv", np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32), codec="flac")
    whole, _ = read_sound(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    read, _ = read_sound(path)
    assert len(read) == pytest.approx(len(whole), abs=1600)
    np.testing.assert_array_equal(read[:16_000], whole[:16_000])
    np.testing.assert_allclose(read[-8_000:], whole[-8_000:], atol=1e-4)


def test_a_truncated_file_shows_as_sound_shorter_than_promised(make):
    path = make("a.wav", tone(2.0))
    path.write_bytes(path.read_bytes()[:-40_000])
    facts = probe_sound(path)
    assert facts.declared_sec - facts.duration_sec > 1.0 or facts.duration_sec < 1.0


def test_blocks_have_one_size_whatever_the_frames(make, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK_SAMPLES", 5_000)
    sound = reading.Sound(make("a.mkv", tone(2.0), codec="flac", jumps={16_128: 1.0}))
    assert [len(block) for block in sound.blocks()] == [5_000] * 9 + [3_000]


def test_a_file_that_is_not_media_is_named(tmp_path):
    (tmp_path / "a.mp4").write_text("not a film")
    with pytest.raises(AudioError, match=r"a\.mp4: not a file that FFmpeg can open"):
        probe_sound(tmp_path / "a.mp4")
    with pytest.raises(AudioError, match=r"b\.mp4: not a file that FFmpeg can open"):
        probe_sound(tmp_path / "b.mp4")


def test_a_file_without_end_is_named(make):
    with pytest.raises(AudioError, match=r"a\.wav: more than 0\.0001 hours of sound"):
        probe_sound(make("a.wav", tone(2.0)), max_hours=0.0001)


@pytest.mark.parametrize("name, codec", [("a.mp4", "aac"), ("a.mkv", "flac"), ("a.ts", "aac")])
def test_files_damaged_at_random_never_end_in_anything_but_facts_or_a_named_error(make, name, codec):
    path = make(name, tone(1.0), codec=codec, pictures=BLACK)
    whole = path.read_bytes()
    generator = np.random.default_rng(5)
    for i in range(25):
        content = bytearray(whole)
        for place in generator.integers(0, len(whole), 10):
            content[place] = int(generator.integers(256))
        path.write_bytes(content if i % 2 else content[: int(generator.integers(len(whole)))])
        try:
            facts = probe_sound(path, max_hours=0.05)
        except AudioError as error:
            assert str(error).startswith(str(path))
        else:
            assert 0 <= facts.duration_sec < 180 and facts.peak < np.inf
