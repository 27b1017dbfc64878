"""Segments stay with the clips of the other streams where the frame rate changes within a video."""

import numpy as np
import pandas as pd
import pytest

from lgdnet.audio.frame_times import frame_times
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.statistics import MelStatistics
from lgdnet.audio.storage import MelStore
from lgdnet.loader.audio import AudioSource
from lgdnet.manifest import read_manifest, write_manifest
from lgdnet.settings import AudioSettings
from lgdnet.stages import audio as stage
from lgdnet.video import probe
from tests.audio.conftest import tone

PLAIN = MelStatistics(np.zeros(NUM_MELS, np.float32), np.ones(NUM_MELS, np.float32))
TIMES = np.concatenate([np.arange(150) / 30, 5 + np.arange(50) / 10])  # 5 s at 30 fps, then 5 s at 10 fps
BLACK = np.zeros((len(TIMES), 32, 32, 3), np.uint8)


def variable(make, name="a.mp4", codec="aac", **sound):
    return make(name, tone(9.0), codec=codec, pictures=BLACK, picture_times_sec=TIMES, **sound)


@pytest.mark.parametrize("late_sec", [0.0, 0.7])
def test_segments_are_centred_within_10_ms_of_the_middle_frame_of_their_clip(make, tmp_path, late_sec):
    found = probe(variable(make, sound_start_sec=late_sec))
    assert found.verdict == "ok" and not found.has_constant_rate
    row = {"video_id": "a", "path": "a.mp4", "label": "", "class_index": -1, **found.facts()}
    steady = {**row, "video_id": "steady", "has_constant_rate": True}
    write_manifest(tmp_path / "m.csv", pd.DataFrame([row, steady]))
    stage.run(
        manifest=tmp_path / "m.csv", video_root=tmp_path, out=tmp_path / "0.h5", settings=AudioSettings()
    )
    store = MelStore([tmp_path / "0.h5"])
    np.testing.assert_allclose(store.frame_times_sec("a"), TIMES, atol=1e-3)
    assert not len(store.frame_times_sec("steady"))
    source = AudioSource(read_manifest(tmp_path / "m.csv"), store, PLAIN, segment_frames=256, clip_length=16)
    starts, firsts = source.places(0, 20)
    centres = store.facts("a").start_sec + (np.array(firsts) + 127.5) / 100
    np.testing.assert_allclose(centres, TIMES[np.array(starts) + 8], atol=0.010)
    assert np.abs(np.array(source.places(1, 20)[1]) - firsts).max() > 100  # by the average rate: a second off


@pytest.mark.parametrize("name, codec", [("a.mp4", "aac"), ("a.mkv", "flac"), ("a.ts", "aac")])
def test_times_of_frames_are_read_from_any_container_with_time_stamps(make, name, codec):
    np.testing.assert_allclose(frame_times(variable(make, name, codec), 200), TIMES, atol=2e-3)


def test_a_clock_that_begins_again_tells_no_times(make, tmp_path):
    part = make("a.ts", pictures=BLACK[:60]).read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    assert probe(tmp_path / "joined.ts").num_frames == 120
    assert not len(frame_times(tmp_path / "joined.ts", 120))
    assert len(frame_times(tmp_path / "a.ts", 60)) == 60


def test_times_are_not_made_up_where_frames_and_stamps_do_not_match(make, tmp_path):
    assert not len(frame_times(variable(make), 199))
    assert not len(frame_times(make("a.avi", pictures=BLACK[:20]), 20))
    assert not len(frame_times(make("a.wav", tone(0.1)), 20))
    (tmp_path / "b.mp4").write_text("no film")
    assert not len(frame_times(tmp_path / "b.mp4", 20))
