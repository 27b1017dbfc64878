import csv
from itertools import pairwise

import av
import numpy as np
import pytest

from lgdnet.sample import (
    CLASSES,
    FPS,
    HEIGHT,
    NUM_FRAMES,
    WIDTH,
    poses,
    render_frames,
    render_sound,
    render_video,
)
from lgdnet.stages import sample


def test_each_pair_of_classes_differs_in_exactly_one_thing():
    kinds = list(CLASSES.values())
    for one, other in zip(kinds[::2], kinds[1::2], strict=True):
        differences = [getattr(one, part) != getattr(other, part) for part in ("shape", "motion", "sound")]
        assert sum(differences) == 1, (one, other)


@pytest.mark.parametrize(("motion", "sign"), [("left", -1), ("right", 1)])
def test_the_direction_of_motion_is_the_label(motion, sign):
    track = poses(motion, np.random.default_rng(0))
    steps = [second.x - first.x for first, second in pairwise(track)]
    assert np.median(np.sign(steps)) == sign


def test_the_pictures_of_a_pair_told_apart_by_sound_are_drawn_alike():
    high, low = (CLASSES[f"bell ringing {pitch}"] for pitch in ("high", "low"))
    frames = [render_frames(kind, np.random.default_rng(3)) for kind in (high, low)]
    assert np.array_equal(*frames)


@pytest.mark.parametrize(("pitch", "low_hz", "high_hz"), [("high", 1300, 1700), ("low", 430, 570)])
def test_a_bell_is_heard_at_its_pitch(pitch, low_hz, high_hz):
    sound = render_sound(CLASSES[f"bell ringing {pitch}"], np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(sound))
    peak_hz = np.fft.rfftfreq(len(sound), 1 / 16_000)[spectrum.argmax()]
    assert low_hz < peak_hz < high_hz


def test_a_rendered_video_is_h264_with_aac_and_has_every_frame(tmp_path):
    render_video(tmp_path / "a.mp4", "ring bouncing", np.random.default_rng(0))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, float(video.average_rate)) == (WIDTH, HEIGHT, FPS)
        assert sum(1 for _ in container.decode(video)) == NUM_FRAMES


def test_the_same_seed_renders_the_same_bytes_and_finished_videos_stay(tmp_path):
    for folder in ("a", "b"):
        sample.run(tmp_path / folder, seed=1, videos_per_class={"train": 1}, num_workers=1)
    ours, theirs = (sorted((tmp_path / folder).rglob("*.*")) for folder in ("a", "b"))
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]
    before = [path.stat().st_mtime_ns for path in sorted((tmp_path / "a/videos").rglob("*.mp4"))]
    sample.run(tmp_path / "a", seed=1, videos_per_class={"train": 1}, num_workers=1)
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "a/videos").rglob("*.mp4"))] == before


def test_the_plan_has_the_promised_faults_and_unique_ids():
    videos = sample.plan(0, sample.VIDEOS_PER_CLASS)
    assert len({video.youtube_id for video in videos}) == len(videos) == 350
    for split, faults in sample.FAULTS.items():
        assert tuple(video.fault for video in videos if video.split == split and video.fault) == faults


def test_the_test_list_has_no_labels():
    videos = [video for video in sample.plan(0, sample.VIDEOS_PER_CLASS) if video.split == "test"]
    rows = list(csv.DictReader(sample.list_of(videos, labelled=False).splitlines()))
    assert list(rows[0]) == ["youtube_id", "time_start", "time_end", "split"]
    assert len(rows) == 50
