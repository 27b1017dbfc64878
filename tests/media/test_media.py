"""Transcoding: every frame in its place, sound kept, keyframes close together, resumable."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from barcodes import number_of, write_video
from containers import CONTAINERS, FIRST_NUMBER, NUM_FRAMES

from lgdnet.errors import InputError
from lgdnet.manifest import COLUMNS, ManifestError, read_manifest
from lgdnet.settings import MediaSettings
from lgdnet.stages import media as stage
from lgdnet.video import VideoError, iterate_frames, probe, read_frames
from lgdnet.video.transcode import Recipe, transcode
from lgdnet.watchdog import Failure


def numbers(path, first=0):
    return [number_of(frame) - first for frame in iterate_frames(path)]


@pytest.mark.parametrize(
    "name",
    [
        "MPEG-4, B-frames, avi",
        "stream-copy trim, edit list, mp4",
        "H.264, variable rate, mp4",
        "H.264, 97x131, mp4",
    ],
)
def test_every_frame_comes_through_in_its_place(name, tmp_path):
    filename, make = CONTAINERS[name]
    source = make(tmp_path / filename)
    transcode(source, tmp_path / "out.mp4", Recipe(short_side=96))
    assert numbers(tmp_path / "out.mp4", FIRST_NUMBER.get(name, 0)) == list(range(NUM_FRAMES))
    found, before = probe(tmp_path / "out.mp4"), probe(source)
    assert found.keyframe_interval <= 16 and found.verdict == "ok" and found.num_damaged == 0
    assert found.duration_sec == pytest.approx(before.duration_sec, abs=0.1)
    if before.has_constant_rate:
        assert found.backend == "seek"


def test_a_rotated_video_is_turned_and_scaled(tmp_path):
    source = write_video(tmp_path / "a.mp4", 6, size=(192, 256), rotation=90)
    transcode(source, tmp_path / "out.mp4", Recipe(short_side=96))
    found = probe(tmp_path / "out.mp4")
    assert (found.width, found.height, found.rotation) == (96, 128, 0)
    assert [number_of(np.rot90(f, -1)) for f in iterate_frames(tmp_path / "out.mp4")] == list(range(6))


def test_a_small_video_is_not_enlarged(tmp_path):
    transcode(write_video(tmp_path / "a.mp4", 4, size=(48, 64)), tmp_path / "out.mp4", Recipe(short_side=256))
    assert probe(tmp_path / "out.mp4").height == 48


@pytest.mark.parametrize(("fps", "count", "step"), [(12.5, 20, 2), (50, 79, 0.5)])
def test_a_constant_rate_shows_what_was_seen_at_that_time(fps, count, step, tmp_path):
    source = write_video(tmp_path / "a.mp4", 40)
    transcode(source, tmp_path / "out.mp4", Recipe(short_side=96, fps=fps))
    assert numbers(tmp_path / "out.mp4")[: count - 1] == [int(i * step) for i in range(count - 1)]
    assert probe(tmp_path / "out.mp4").has_constant_rate


def test_a_variable_rate_becomes_constant_on_request(tmp_path):
    source = write_video(tmp_path / "a.mp4", 5, time_stamps=[0, 1, 4, 5, 8])
    transcode(source, tmp_path / "out.mp4", Recipe(short_side=96, fps=25))
    assert numbers(tmp_path / "out.mp4") == [0, 1, 1, 1, 2, 3, 3, 3, 4]


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_sound_is_kept(suffix, tmp_path):
    source = write_video(tmp_path / f"a.{suffix}", 50, with_audio=True, b_frames=0)
    transcode(source, tmp_path / "out.mp4", Recipe(short_side=48))
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(sound) == pytest.approx(2 * 16000, abs=3000)
    spectrum = np.abs(np.fft.rfft(sound[4000:20000]))
    assert spectrum.argmax() == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.avi", "libmp3lame", 44100),
        ("a.mkv", "pcm_s16le", 4000),
        ("b.mkv", "pcm_s16le", 192000),
    ],
)
def test_sound_of_any_rate_and_time_base_stays_beside_its_pictures(name, codec, rate, tmp_path):
    source = write_video(tmp_path / "source.avi", 50, codec="mpeg4", b_frames=0)
    add_beep(source, tmp_path / name, codec=codec, rate=rate, beep_sec=1.2)
    transcode(tmp_path / name, tmp_path / "out.mp4", Recipe(short_side=48))
    assert beep_begins(tmp_path / name) == pytest.approx(1.2, abs=0.04)
    assert beep_begins(tmp_path / "out.mp4") == pytest.approx(beep_begins(tmp_path / name), abs=0.03)


def test_a_gap_in_the_sound_becomes_silence_of_its_length(tmp_path):
    source = write_video(tmp_path / "a.mp4", 50, b_frames=0)
    add_beep(source, tmp_path / "a.mkv", codec="pcm_s16le", rate=8000, beep_sec=1.2, left_out=(0.4, 0.9))
    transcode(tmp_path / "a.mkv", tmp_path / "out.mp4", Recipe(short_side=48))
    assert beep_begins(tmp_path / "out.mp4") == pytest.approx(1.2, abs=0.03)


def add_beep(pictures, target, *, codec, rate, beep_sec, left_out=(0.0, 0.0)):
    """The pictures, copied, and 2 s of sound: silence up to `beep_sec`, then 440 Hz."""
    with av.open(str(pictures)) as reader, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(reader.streams.video[0])
        sound = out.add_stream(codec, rate=rate, layout="mono")
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
        seconds = np.arange(2 * rate) / rate
        wave = (np.sin(seconds * 2 * np.pi * 440) * (seconds >= beep_sec) * 10000).astype(np.int16)
        for first in range(0, len(wave), rate // 50):
            if left_out[0] <= first / rate < left_out[1]:
                continue
            block = av.AudioFrame.from_ndarray(
                wave[None, first : first + rate // 50], format="s16", layout="mono"
            )
            block.sample_rate, block.pts, block.time_base = rate, first, Fraction(1, rate)
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))


def beep_begins(path):
    """Seconds from the first picture to the first loud sample."""
    with av.open(str(path)) as container:
        start_sec = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray()[0].astype(np.float64))
            loud = np.flatnonzero(loud > (3000 if frame.format.name.startswith("s16") else 0.1))
            if len(loud):
                return frame.time - start_sec + loud[0] / frame.sample_rate
    raise AssertionError("no sound")


def test_a_file_that_does_not_decode_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be opened"):
        transcode(tmp_path / "a.mp4", tmp_path / "out.mp4", Recipe())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


@pytest.fixture
def challenge(tmp_path):
    """Five videos and their manifest."""
    lines = ["video_id,path,label,class_index,num_frames,backend"]
    for i in range(5):
        write_video(tmp_path / f"videos/v{i}.mp4", 30, first_number=100 * i, keyframe_every=30)
        lines.append(f"v{i},v{i}.mp4,run,0,30,seek")
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(folder, shard, num_shards=2, **settings):
    out = folder / f"media/train/{shard:04d}.csv"
    stage.run(
        folder / "train.csv", folder / "videos", out, MediaSettings(short_side=48, **settings),
        shard=shard, num_shards=num_shards,
    )  # fmt: skip
    return out


def test_shards_become_a_manifest_of_the_transcoded_videos(challenge, capsys):
    shards = [run(challenge, 0), run(challenge, 1)]
    stage.collect(shards, challenge / "train.csv", challenge / "media/train.csv")
    manifest = read_manifest(challenge / "media/train.csv")
    assert manifest.video_ids.tolist() == [f"v{i}" for i in range(5)]
    assert list(manifest.table.columns) == list(COLUMNS)
    assert manifest.paths[4] == "train/0001/v4.mp4" and manifest.short_sides.tolist() == [48] * 5
    frame = read_frames(challenge / "media" / manifest.paths[4], [7], backend=manifest.backends[4])[0]
    assert number_of(frame) == 407
    assert "media: 5 videos" in capsys.readouterr().err
    with pytest.raises(ManifestError, match=r"the shards hold 2 videos, .* lists 5"):
        stage.collect(shards[:1], challenge / "train.csv", challenge / "media/train.csv")
    with pytest.raises(ManifestError, match=r"0002\.csv does not exist; `lgdnet media` writes it"):
        stage.collect(
            [*shards, challenge / "media/0002.csv"], challenge / "train.csv", challenge / "media/train.csv"
        )


def test_a_killed_shard_makes_only_what_is_missing(challenge):
    out = run(challenge, 0, num_shards=1)
    first = out.read_text()
    journal = challenge / "media/train/0000/done.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:3], lines[3][:50]]) + "\n")
    (challenge / "media/train/0000/v0.mp4").write_bytes(b"half")
    stamps = {p.name: p.stat().st_mtime_ns for p in journal.parent.glob("*.mp4")}
    out.unlink()
    run(challenge, 0, num_shards=1)
    made = {p.name for p in journal.parent.glob("*.mp4") if p.stat().st_mtime_ns != stamps[p.name]}
    assert made == {"v0.mp4", "v3.mp4", "v4.mp4"}
    strip = lambda text: [line.rsplit(",", 2)[0] for line in text.splitlines()]  # noqa: E731 (times differ)
    assert strip(out.read_text()) == strip(first)


def test_a_video_that_changed_since_it_was_probed_is_an_error(challenge):
    write_video(challenge / "videos/v1.mp4", 29)
    with pytest.raises(InputError, match=r"v1\.mp4: 30 frames in .*train\.csv, 29 after transcoding"):
        run(challenge, 0)


def test_a_video_that_takes_too_long_is_an_error(challenge):
    with pytest.raises(
        InputError, match=r"v0\.mp4: cannot be transcoded \(no answer within the time limit\)"
    ):
        run(challenge, 0, timeout_sec=0.001)


def test_a_file_that_fails_is_named_in_one_line_after_the_others_are_made(challenge, capsys):
    (challenge / "videos/v1.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError) as error:
        run(challenge, 0, num_shards=1)
    line = str(error.value)
    assert line.startswith(f"{challenge}/videos/v1.mp4: cannot be ")
    assert "; 1 of 5 videos of this shard fail" in line and "Take the failing ones out" in line
    assert line.count("v1.mp4") == 1 and "VideoError" not in line and "\n" not in line
    made = {p.name for p in (challenge / "media/train/0000").glob("*.mp4")}
    assert made == {"v0.mp4", "v2.mp4", "v3.mp4", "v4.mp4"}
    assert "v1.mp4: cannot be " in capsys.readouterr().err


def test_the_reason_of_a_failure_is_said_once():
    message = (
        "lgdnet.video.reader.VideoError: /a/b.avi: cannot be transcoded (Invalid argument). Probe it again."
    )
    assert stage.reason_of(Failure("error", message), "/a/b.avi") == "Invalid argument"
    assert (
        stage.reason_of(Failure("error", "ValueError: no such layout"), "/a/b.avi")
        == "ValueError: no such layout"
    )


@pytest.mark.parametrize("what", ["time of writing", "digest in the manifest"])
def test_a_source_replaced_by_one_of_equal_size_is_transcoded_again(what, challenge):
    manifest = challenge / "train.csv"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([f"{lines[0]},digest", *(f"{line},old" for line in lines[1:])]) + "\n")
    out = run(challenge, 0)
    target = challenge / "media/train/0000/v1.mp4"
    before = target.stat().st_mtime_ns
    out.unlink()
    run(challenge, 0)
    assert target.stat().st_mtime_ns == before
    if what == "time of writing":
        os.utime(challenge / "videos/v1.mp4", ns=(1, 1))
    else:
        manifest.write_text(
            manifest.read_text().replace("v1.mp4,run,0,30,seek,old", "v1.mp4,run,0,30,seek,new")
        )
    run(challenge, 0)
    assert target.stat().st_mtime_ns != before


def test_whole_files_are_known_by_their_size(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert stage.is_whole({"num_bytes": 3}, tmp_path / "a")
    assert not stage.is_whole({"num_bytes": 4}, tmp_path / "a")
    assert not stage.is_whole(None, tmp_path / "a") and not stage.is_whole({"num_bytes": 3}, Path("/nowhere"))
