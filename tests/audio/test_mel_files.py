"""Files of log-mel frames give back what went in, and say what is wrong with them."""

import pickle

import h5py
import numpy as np
import pytest

from lgdnet.artefact import provenance
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.reading import AudioError, SoundFacts
from lgdnet.audio.statistics import (
    SMALLEST_STD,
    MelStatistics,
    mel_statistics,
)
from lgdnet.audio.storage import MelStore, MelWriter, summary

MADE_BY = provenance({"noise": None}, {"train.csv": "abc"})
HEARD = SoundFacts(has_audio=True, start_sec=-0.02, duration_sec=3.0, codec="aac", peak=0.5, num_gaps=1)
SILENT = SoundFacts(has_audio=True, duration_sec=1.0, peak=0.0)


def mel_of(num_frames: int, seed: int = 0, offset: float = -5.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(offset, 2.0, (num_frames, NUM_MELS)).astype(np.float32)


def write(path, videos):
    with MelWriter(path, provenance=MADE_BY) as writer:
        for video_id, blocks, facts in videos:
            for block in blocks:
                writer.add_frames(block)
            writer.end_video(video_id, facts)
    return path


def test_frames_and_facts_come_back_by_video_id(tmp_path):
    long, short = mel_of(700), mel_of(30, 1)
    first = write(tmp_path / "0.h5", [("long", [long[:500], long[500:]], HEARD), ("mute", [], SoundFacts())])
    second = write(tmp_path / "1.h5", [("short", [short], SILENT)])
    store = MelStore([first, second])
    assert store.video_ids == ["long", "mute", "short"]
    assert [store.num_frames(v) for v in store.video_ids] == [700, 0, 30]
    assert [store.facts(v) for v in store.video_ids] == [HEARD, SoundFacts(), SILENT]
    np.testing.assert_array_equal(store.frames("long"), long.astype(np.float16))
    np.testing.assert_array_equal(store.frames("short", 10, 99), short[10:].astype(np.float16))
    assert store.frames("mute", 0, 256).shape == (0, NUM_MELS)
    assert store.frames("long", 900, 950).shape == (0, NUM_MELS)


def test_a_shard_without_videos_is_a_file(tmp_path):
    assert MelStore([write(tmp_path / "0.h5", [])]).video_ids == []


def test_a_file_says_what_made_it(tmp_path):
    with h5py.File(write(tmp_path / "0.h5", [])) as h5:
        assert {name: h5.attrs[name] for name in MADE_BY} == MADE_BY


def test_a_store_travels_to_another_process_with_its_files_closed(tmp_path):
    store = MelStore([write(tmp_path / "0.h5", [("a", [mel_of(9)], HEARD)])])
    store.frames("a")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).frames("a"), store.frames("a"))


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), MelWriter(tmp_path / "0.h5", provenance=MADE_BY) as writer:
        writer.add_frames(mel_of(5))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_named(tmp_path):
    good = write(tmp_path / "0.h5", [("a", [mel_of(300)], HEARD)])
    with pytest.raises(AudioError, match=r"9\.h5: no such file of log-mel frames"):
        MelStore([tmp_path / "9.h5"])
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(AudioError, match=r"text\.h5: not an HDF5 file"):
        MelStore([tmp_path / "text.h5"])
    with h5py.File(tmp_path / "other.h5", "w") as h5:
        h5.attrs["format"] = "lgdnet-flow-1"
    with pytest.raises(AudioError, match=r"other\.h5: format is 'lgdnet-flow-1', 'lgdnet-mel-2' is needed"):
        MelStore([tmp_path / "other.h5"])
    with pytest.raises(AudioError, match="'a' is also in"):
        MelStore([good, good])
    with pytest.raises(AudioError, match=r"0\.h5: no sound of 'b', not even that it has none"):
        MelStore([good]).frames("b")


def test_a_flipped_byte_is_noticed(tmp_path):
    path = write(tmp_path / "0.h5", [("a", [mel_of(300)], HEARD)])
    with h5py.File(path) as h5:
        offset = h5["mel"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"0\.h5: frames of 'a' do not read"):
        MelStore([path]).frames("a")


def test_statistics_are_those_of_all_audible_frames(tmp_path):
    one, two = mel_of(400), mel_of(100, 1, offset=3.0)
    shards = [
        write(tmp_path / "0.h5", [("a", [one], HEARD), ("mute", [], SoundFacts())]),
        write(tmp_path / "1.h5", [("zero", [mel_of(50, 2, -16.0)], SILENT), ("b", [two], HEARD)]),
    ]
    found = mel_statistics(shards)
    everything = np.concatenate([one, two]).astype(np.float64)
    np.testing.assert_allclose(found.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.std, everything.std(0), rtol=1e-5)
    back = MelStatistics.from_json(found.to_json(), source=tmp_path / "model.safetensors")
    np.testing.assert_array_equal(back.mean, found.mean)
    assert np.abs(back.standardise(everything).mean(0)).max() < 1e-5


def test_a_bin_that_never_moves_is_not_blown_up(tmp_path):
    flat = mel_of(200)
    flat[:, 100:] = -16.1 + np.random.default_rng(3).normal(0, 0.01, (200, 28))
    found = mel_statistics([write(tmp_path / "0.h5", [("a", [flat], HEARD)])])
    assert (found.std[100:] == SMALLEST_STD).all()
    assert np.abs(found.standardise(flat)[:, 100:]).max() < 0.2


def test_statistics_of_silence_are_refused(tmp_path):
    shard = write(tmp_path / "0.h5", [("a", [mel_of(5)], SILENT)])
    with pytest.raises(AudioError, match=r"0\.h5: no video of the training split has audible sound"):
        mel_statistics([shard])


def test_a_model_file_with_other_statistics_is_named(tmp_path):
    zeros = MelStatistics(np.zeros(NUM_MELS, np.float32), np.zeros(NUM_MELS, np.float32)).to_json()
    for text in ("{", "[]", '{"mean": 1}', zeros):
        with pytest.raises(AudioError, match=r"m\.safetensors: its mel statistics are not 128 means"):
            MelStatistics.from_json(text, source=tmp_path / "m.safetensors")


def test_the_summary_counts_what_is_odd():
    late = SoundFacts(has_audio=True, start_sec=0.5, peak=0.1, num_bad_packets=2)
    assert summary([HEARD, SILENT, SoundFacts(), late]) == {
        "videos": 4,
        "without_track": 1,
        "silent": 1,
        "with_gaps": 1,
        "damaged": 1,
        "late": 1,
    }
