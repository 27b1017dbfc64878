"""Verdicts and facts."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from barcodes import barcode, write_tone, write_video

from lgdnet.video import probe
from lgdnet.video.probe import Scan, num_missing, promised_sec, scan_frames, seconds_of
from lgdnet.video.reader import opened


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
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
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


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_pause_in_the_time_stamps_is_no_damage(suffix, tmp_path):
    stamps = [*range(58), 158, 159]
    found = probe(write_video(tmp_path / f"a.{suffix}", 60, time_stamps=stamps))
    assert (found.verdict, found.num_frames, found.num_damaged) == ("ok", 60, 0), found.reason
    assert not found.has_constant_rate and found.backend == "pyav"


def test_a_gap_counts_as_missing_frames_only_where_something_speaks_of_a_loss():
    scan = Scan(num_frames=40, pts=[*range(20), *range(23, 43)])
    assert num_missing(scan, promised=0, has_losses=False) == 0
    assert num_missing(scan, promised=40, has_losses=False) == 0
    assert num_missing(scan, promised=0, has_losses=True) == 3
    assert num_missing(scan, promised=43, has_losses=False) == 3
    assert num_missing(scan, promised=42, has_losses=True) == 2
    scan.damage.hidden = 3  # an edit list hides what the index still counts
    assert num_missing(scan, promised=43, has_losses=False) == 0


def test_a_gap_in_a_transport_stream_is_a_loss(tmp_path):
    found = probe(write_video(tmp_path / "a.ts", 50, time_stamps=[*range(30), *range(33, 53)]))
    assert (found.verdict, found.num_frames, found.num_damaged) == ("ok", 50, 3)


def test_a_packet_that_does_not_decode_is_damage(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60, b_frames=0)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][30]
        place, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[place : place + size] = bytes([255]) * size
    path.write_bytes(content)
    assert probe(path).num_damaged > 0


@pytest.mark.parametrize("has_tag", [True, False])
def test_sound_that_outlasts_the_pictures_promises_no_pictures(has_tag, tmp_path):
    path = write_with_long_sound(tmp_path / "a.mkv", num_frames=60, sound_sec=8)
    if not has_tag:
        path.write_bytes(path.read_bytes().replace(b"DURATION", b"SOMEWHAT"))
    found = probe(path)
    assert (found.verdict, found.num_frames, found.has_audio) == ("ok", 60, True), found.reason


def test_a_length_that_the_sound_does_not_explain_is_a_promise(tmp_path):
    path = write_with_long_sound(tmp_path / "a.mkv", num_frames=200, sound_sec=1)
    content = path.read_bytes().replace(b"DURATION", b"SOMEWHAT")
    path.write_bytes(content[: len(content) // 2])
    assert probe(path).verdict == "truncated"
    with opened(path) as (container, stream):
        scan = scan_frames(container, stream, max_frames=1000)
        assert promised_sec(path, container, stream, scan) == pytest.approx(8.0, abs=0.1)


def test_pictures_that_begin_late_are_not_cut_off(tmp_path):
    found = probe(write_video(tmp_path / "a.mkv", 50, time_stamps=range(100, 150)))
    assert (found.verdict, found.num_frames) == ("ok", 50), found.reason


@pytest.mark.parametrize(("text", "seconds"), [("01:00:02.50", 3602.5), ("", None), ("2.5", None)])
def test_lengths_in_tags_are_read(text, seconds):
    assert seconds_of(text) == seconds


def write_with_long_sound(path: Path, *, num_frames: int, sound_sec: float) -> Path:
    """25 pictures per second, and sound of another length."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(barcode(i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        write_tone(container, sound, seconds=sound_sec)
    return path


def cut(path: Path, share: float) -> None:
    """Keep the first part of a file."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
