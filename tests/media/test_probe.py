"""Verdicts and facts."""

from pathlib import Path

import pytest
from barcodes import write_video

from lgdnet.video import probe


def test_facts_of_a_good_file(tmp_path):
    found = probe(write_video(tmp_path / "a.mp4", 50, with_audio=True))
    assert (found.verdict, found.reason) == ("ok", "")
    assert (found.num_frames, found.fps, found.width, found.height) == (50, 25.0, 128, 96)
    assert found.duration_sec == pytest.approx(2.0) and found.has_audio and found.codec == "h264"
    assert found.has_constant_rate and found.keyframe_interval <= 12 and found.num_damaged == 0
    assert found.backend == "seek" and len(found.digest) == 64


def test_facts_speak_of_the_upright_picture(tmp_path):
    found = probe(write_video(tmp_path / "a.mp4", 5, rotation=90))
    assert (found.width, found.height, found.rotation) == (96, 128, 90)


def test_missing_and_empty_files(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert probe(tmp_path / "none.mp4").verdict == "missing"
    assert probe(tmp_path / "empty.mp4").verdict == "empty"


def test_a_file_without_picture(tmp_path):
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        from barcodes import write_tone

        write_tone(container, container.add_stream("aac", rate=16000, layout="mono"), seconds=1)
    assert probe(tmp_path / "sound.mp4").verdict == "no-video"


@pytest.mark.parametrize("faststart", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_off_mp4_is_truncated_wherever_its_index_stands(tmp_path, faststart, share):
    options = {"movflags": "faststart"} if faststart else {}
    path = write_video(tmp_path / "a.mp4", 250, container_options=options)
    cut(path, share)
    found = probe(path)
    assert found.verdict == "truncated", found.reason


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_other_cut_off_containers_are_truncated(tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", 250, codec="mpeg4" if suffix == "avi" else "libx264")
    cut(path, 0.5)
    assert probe(path).verdict == "truncated"


def test_noise_is_undecodable(tmp_path):
    import numpy as np

    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20000))
    assert probe(tmp_path / "noise.mp4").verdict == "undecodable"


def test_fewer_frames_than_asked_for_is_too_short(tmp_path):
    path = write_video(tmp_path / "a.mp4", 10)
    assert probe(path, min_frames=10).verdict == "ok"
    found = probe(path, min_frames=11)
    assert (found.verdict, found.reason) == ("too-short", "10 frames, 11 are needed")


def test_more_frames_than_the_limit_is_undecodable(tmp_path):
    found = probe(write_video(tmp_path / "a.mp4", 10), max_frames=5)
    assert (found.verdict, found.reason) == ("undecodable", "more than 5 frames")


def test_a_picture_larger_than_the_limit_is_undecodable(tmp_path):
    found = probe(write_video(tmp_path / "a.mp4", 3), max_pixels=100)
    assert found.verdict == "undecodable" and "more than the limit of 100" in found.reason


def test_a_variable_rate_is_recorded_and_read_from_the_start(tmp_path):
    stamps = [0, 1, 2, 5, 6, 7, 12, 13, 14, 15]
    found = probe(write_video(tmp_path / "a.mp4", 10, time_stamps=stamps))
    assert (found.verdict, found.num_frames) == ("ok", 10)
    assert not found.has_constant_rate and found.backend == "pyav"


def cut(path: Path, share: float) -> None:
    """Keep the first part of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
