"""The audio stage: a manifest in, log-mel frames and facts of every video out, whatever the files hold."""

import numpy as np
import pandas as pd
import pytest

from lgdnet.audio import extraction
from lgdnet.audio.extraction import Noise, extract
from lgdnet.audio.logmel import log_mel
from lgdnet.audio.reading import AudioError, SoundFacts, probe_sound, read_sound
from lgdnet.audio.shard import warn_if_cut_off
from lgdnet.audio.storage import MelStore
from lgdnet.manifest import write_manifest
from lgdnet.settings import AudioSettings, NoiseSettings
from lgdnet.stages import audio as stage
from tests.audio.conftest import tone

BLACK = np.zeros((30, 32, 32, 3), np.uint8)


def manifest_of(path, files):
    rows = [(name.split(".")[0], name, "", -1, 30, 25.0) for name in files]
    columns = ["video_id", "path", "label", "class_index", "num_frames", "fps"]
    write_manifest(path, pd.DataFrame(rows, columns=columns))
    return path


@pytest.fixture
def in_this_process(monkeypatch):
    """Starting a process takes a second; what it does needs no process."""

    def call_here(target, calls, **_):
        return ((i, extraction.answer(*call)) for i, call in enumerate(calls))

    monkeypatch.setattr(extraction, "killable_map", call_here)


def test_the_stage_writes_frames_and_facts_of_every_video_in_order(make, tmp_path, capsys, in_this_process):
    make("a.mp4", tone(1.2), codec="aac", pictures=BLACK)
    make("mute.mp4", pictures=BLACK)
    make("zero.mkv", np.zeros(16_000, np.float32), codec="flac", pictures=BLACK)
    late = make("late.mkv", tone(1.0), codec="flac", pictures=BLACK, sound_start_sec=0.5)
    manifest = manifest_of(tmp_path / "train.csv", ["a.mp4", "mute.mp4", "zero.mkv", "late.mkv"])
    for shard in (0, 1):
        stage.run(
            manifest=manifest,
            video_root=tmp_path,
            out=tmp_path / "audio" / f"{shard}.h5",
            shard=shard,
            num_shards=2,
            settings=AudioSettings(),
            num_workers=2,
        )
    assert sorted(p.name for p in (tmp_path / "audio").iterdir()) == ["0.h5", "1.h5"]
    store = MelStore([tmp_path / "audio" / "0.h5", tmp_path / "audio" / "1.h5"])
    assert store.video_ids == ["a", "mute", "zero", "late"]
    assert [store.facts(v).has_audio for v in store.video_ids] == [True, False, True, True]
    assert [store.facts(v).is_audible for v in store.video_ids] == [True, False, False, True]
    assert store.facts("late").start_sec == pytest.approx(0.5, abs=0.002)
    np.testing.assert_array_equal(store.frames("late"), log_mel(read_sound(late)[0]).astype(np.float16))
    assert "2 videos, 1 without track" in capsys.readouterr().err


def test_a_track_of_which_nothing_decodes_is_pointed_out(make, tmp_path, capsys, in_this_process):
    make("a.mp4", pictures=BLACK)
    make("b.mp4", pictures=BLACK)
    row = {"label": "", "class_index": -1, "num_frames": 30, "fps": 25.0}
    rows = [{**row, "video_id": v, "path": f"{v}.mp4", "has_audio": v == "a"} for v in "ab"]
    write_manifest(tmp_path / "m.csv", pd.DataFrame(rows))
    stage.run(
        manifest=tmp_path / "m.csv", video_root=tmp_path, out=tmp_path / "0.h5", settings=AudioSettings()
    )
    said = capsys.readouterr().err
    assert "a.mp4: has a sound track by the manifest, but nothing of it decodes" in said
    assert "b.mp4" not in said


def test_noise_is_added_at_the_level_of_each_video_and_repeats(make, tmp_path, in_this_process):
    make("a.wav", tone(1.0, level=0.3))
    manifest = manifest_of(tmp_path / "train.csv", ["a.wav"])
    frames = {}
    for name, noise in {"clean": None, "one": (0.0, 1), "again": (0.0, 1), "other": (0.0, 2)}.items():
        settings = AudioSettings(noise=NoiseSettings(snr_db=noise[0], seed=noise[1]) if noise else None)
        out = tmp_path / f"{name}.h5"
        stage.run(manifest=manifest, video_root=tmp_path, out=out, settings=settings)
        frames[name] = MelStore([out]).frames("a").astype(np.float32)
    np.testing.assert_array_equal(frames["one"], frames["again"])
    assert not np.array_equal(frames["one"], frames["other"])
    far_from_the_tone = slice(100, None)  # noise of the tone's power fills these bins
    assert (
        frames["clean"][1:-1, far_from_the_tone].mean()
        < -12
        < -4
        < frames["one"][:, far_from_the_tone].mean()
    )


def test_a_killable_process_gives_the_same_frames(make, tmp_path):
    files = [("a", make("a.wav", tone(0.7))), ("b", make("b.mp4", pictures=BLACK))]
    found = [(e.facts, list(e.blocks())) for e in extraction.extract_all(files, tmp_path, timeout_sec=60)]
    np.testing.assert_array_equal(np.concatenate(found[0][1]), log_mel(read_sound(files[0][1])[0]))
    assert found[0][0] == probe_sound(files[0][1]) and found[1] == (SoundFacts(), [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav", "b.mp4"]


def test_frames_of_a_long_sound_travel_in_parts(make, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "ROWS_AT_ONCE", 30)
    path = make("a.wav", tone(1.0))
    facts = extract(path, tmp_path / "frames", video_id="a")
    blocks = list(extraction.Extracted(0, facts, tmp_path / "frames", np.zeros(0)).blocks())
    assert [len(block) for block in blocks] == [30, 30, 30, 11]
    np.testing.assert_array_equal(np.concatenate(blocks), log_mel(read_sound(path)[0]))


def test_noise_needs_no_whole_sound_in_memory(make, tmp_path):
    path = make("a.wav", tone(1.0))
    for name in ("x", "y"):
        extract(path, tmp_path / name, video_id="a", noise=Noise(10.0, 3))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_file_that_does_not_open_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "a.mp4").write_text("no film")
    manifest = manifest_of(tmp_path / "train.csv", ["a.mp4"])
    with pytest.raises(AudioError, match=rf"^{tmp_path}/a\.mp4: not a file that FFmpeg can open"):
        stage.run(
            manifest=manifest, video_root=tmp_path, out=tmp_path / "o" / "0.h5", settings=AudioSettings()
        )
    assert list((tmp_path / "o").iterdir()) == []


def test_a_decoder_that_takes_too_long_is_named(make, tmp_path):
    make("a.wav", tone(0.1))
    manifest = manifest_of(tmp_path / "train.csv", ["a.wav"])
    settings = AudioSettings(timeout_sec=0.001)
    with pytest.raises(
        AudioError,
        match=r"a\.wav: its sound did not decode within 0\.001 s\. Add 'a' to audio\.leave_out.* or raise audio\.timeout_sec",
    ):
        stage.run(manifest=manifest, video_root=tmp_path, out=tmp_path / "0.h5", settings=settings)
    crashed = extraction.failure("a", tmp_path / "a.wav", extraction.Failure("crash", "code -11"), 1.0)
    assert str(crashed).endswith(
        "a.wav: the decoder of its sound crashed (code -11). "
        "Add 'a' to audio.leave_out, so that this stream gives it no score."
    )


def test_a_video_that_is_left_out_is_not_opened_and_has_no_sound(make, tmp_path, capsys, in_this_process):
    (tmp_path / "bad.mp4").write_text("what a decoder hangs on")
    make("b.wav", tone(0.5))
    manifest = manifest_of(tmp_path / "train.csv", ["bad.mp4", "b.wav"])
    settings = AudioSettings(leave_out=("bad", "of another split"))
    stage.run(manifest=manifest, video_root=tmp_path, out=tmp_path / "0.h5", settings=settings)
    store = MelStore([tmp_path / "0.h5"])
    assert store.facts("bad") == SoundFacts() and store.facts("b").is_audible
    assert store.num_frames("bad") == 0 and store.num_frames("b") == 51
    assert "1 left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, codec", [("a.mkv", "flac"), ("a.mka", "flac"), ("a.mp4", "aac"), ("a.ts", "aac"), ("a.flv", "aac")]
)
def test_a_late_track_that_is_whole_is_not_said_to_be_cut_off(make, capsys, name, codec):
    pictures = None if name == "a.mka" else np.zeros((125, 32, 32, 3), np.uint8)
    path = make(name, tone(1.5), codec=codec, pictures=pictures, sound_start_sec=2.0)
    facts = read_sound(path)[1]
    warn_if_cut_off(path, facts)
    assert capsys.readouterr().err == ""
    # the length of a Flash file is that of its pictures
    assert facts.declared_sec == pytest.approx(facts.duration_sec if name != "a.flv" else 0.0, abs=0.1)


def test_sound_that_ends_before_its_container_says_is_pointed_out(make, capsys):
    path = make("a.mkv", tone(2.0), codec="flac", jumps={16_128: 5_000.0})
    warn_if_cut_off(path, read_sound(path)[1])
    assert "a.mkv: 2.00 s of sound" in capsys.readouterr().err
