"""Feature files: whole or absent, resumable, and never quietly wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from lgdnet.scores import FeaturesWriter, ScoresError, read_features

CLASSES = ["run", "jump", "sing"]
IDS = ["a", "b", "ç d", "e"]
V, C = 4, 5


def views(seed, width=C):
    generator = np.random.default_rng(seed)
    return (
        np.arange(V) * 3,
        np.zeros(V, int),
        generator.normal(size=(V, width)),
        generator.normal(size=(V, width)),
        generator.normal(size=(V, len(CLASSES))),
    )


def writer(path, ids=IDS, checkpoint="c1", classes=CLASSES, settings="{}", **more):
    return FeaturesWriter(
        path,
        video_ids=ids,
        num_views=V,
        classes=classes,
        provenance={"settings": settings, "inputs": "{}", "code_version": "0"},
        checkpoint_digest=checkpoint,
        **more,
    )


def dump(path, ids=IDS, **more):
    with writer(path, ids, **more) as out:
        for video_id in ids[out.num_done :]:
            out.add(video_id, *views(sum(video_id.encode())))
    return path


def test_what_was_written_is_read_by_video_and_by_range(tmp_path):
    features = read_features(
        [dump(tmp_path / "0.h5", IDS[:3], dtype="float32"), dump(tmp_path / "1.h5", IDS[3:], dtype="float32")]
    )
    assert features.video_ids.tolist() == IDS
    for row, video_id in enumerate(IDS):
        starts, _, local, globally, logits = views(sum(video_id.encode()))
        assert (features.read("start_frame", row) == starts).all()
        np.testing.assert_allclose(features.read("features_local", row), local, rtol=1e-6)
        np.testing.assert_allclose(features.read("features_global", row), globally, rtol=1e-6)
        np.testing.assert_allclose(features.read("logits", row), logits, rtol=1e-6)
    over_shards = features.read_range("logits", 1, 4)
    assert (over_shards == np.stack([features.read("logits", row) for row in (1, 2, 3)])).all()


def test_a_killed_dump_goes_on_after_its_last_whole_video_and_gives_the_same_bytes(tmp_path):
    whole = dump(tmp_path / "whole.h5")
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "cut.h5") as out:
        out.add(IDS[0], *views(sum(IDS[0].encode())))
        out.add(IDS[1], *views(sum(IDS[1].encode())))
        raise KeyboardInterrupt
    assert not (tmp_path / "cut.h5").exists()
    journal = tmp_path / "cut.h5.journal"
    journal.write_bytes(journal.read_bytes()[:-7])  # the kill tore the second record
    with writer(tmp_path / "cut.h5") as out:
        assert out.num_done == 1
        for video_id in IDS[1:]:
            out.add(video_id, *views(sum(video_id.encode())))
    assert (tmp_path / "cut.h5").read_bytes() == whole.read_bytes()
    assert not journal.exists()


def test_sigkill_while_writing_loses_at_most_the_video_in_hand(tmp_path):
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import os, signal
from test_features import *
with writer(Path({str(tmp_path / "k.h5")!r})) as out:
    for i, video_id in enumerate(IDS):
        if i == 3: os.kill(os.getpid(), signal.SIGKILL)
        out.add(video_id, *views(sum(video_id.encode())))
"""
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."}
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(ScoresError), writer(tmp_path / "k.h5") as out:
        assert out.num_done == 3
    dump(tmp_path / "k.h5")
    assert len(read_features([tmp_path / "k.h5"])) == 4


@pytest.mark.parametrize(
    "change", [{"checkpoint": "c2"}, {"settings": '{"x":1}'}, {"classes": ["x", "y", "z"]}]
)
def test_a_journal_of_another_dump_is_started_again(tmp_path, change):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "f.h5") as out:
        out.add(IDS[0], *views(0))
        raise KeyboardInterrupt
    with pytest.raises(ScoresError, match=r"0 of 4"), writer(tmp_path / "f.h5", **change) as out:
        assert out.num_done == 0


def test_two_writers_of_one_shard_are_an_error_not_a_mixture(tmp_path):
    first = writer(tmp_path / "f.h5")
    with pytest.raises(ScoresError, match=r"f.h5.journal: another process is writing"):
        writer(tmp_path / "f.h5")
    first._journal.close()


def test_leaving_before_the_last_video_is_an_error_and_no_file(tmp_path):
    with (
        pytest.raises(ScoresError, match=r"f.h5: 1 of 4 videos were scored, next 'b'"),
        writer(tmp_path / "f.h5") as out,
    ):
        out.add("a", *views(0))
    assert not (tmp_path / "f.h5").exists()


def test_videos_out_of_order_are_our_own_mistake(tmp_path):
    with pytest.raises(AssertionError, match=r"next video is 'a', not 'b'"), writer(tmp_path / "f.h5") as out:
        out.add("b", *views(0))


def test_absent_videos_are_known_as_absent_even_in_front(tmp_path):
    with writer(tmp_path / "f.h5") as out:
        out.add_absent("a")
        out.add("b", *views(1))
        out.add("ç d", *views(2))
        out.add_absent("e")
    features = read_features([tmp_path / "f.h5"])
    assert features.present.tolist() == [False, True, True, False]
    np.testing.assert_allclose(features.read("logits", 2), views(2)[4], rtol=1e-6)


def test_a_shard_of_absent_videos_only_fits_beside_the_others(tmp_path):
    with writer(tmp_path / "0.h5", ["x", "y"]) as out:
        out.add_absent("x")
        out.add_absent("y")
    features = read_features([tmp_path / "0.h5", dump(tmp_path / "1.h5")])
    assert features.read_range("features_local", 0, 4).shape == (4, V, C)


def test_nan_features_and_float16_overflow_are_errors_of_the_dump(tmp_path):
    bad = list(views(0))
    bad[2] = np.full((V, C), np.nan)
    with (
        pytest.raises(ScoresError, match=r"f.h5: features_local of 'a' are NaN"),
        writer(tmp_path / "f.h5") as out,
    ):
        out.add("a", *bad)
    bad[2] = np.full((V, C), 1e6)
    with (
        pytest.raises(ScoresError, match=r"'a' reach 1e\+06, beyond float16"),
        writer(tmp_path / "f.h5") as out,
    ):
        out.add("a", *bad)


def test_views_of_another_shape_are_an_error(tmp_path):
    with (
        pytest.raises(ScoresError, match=r"features_local of 'b' has shape \(4, 6\)"),
        writer(tmp_path / "f.h5") as out,
    ):
        out.add("a", *views(0))
        out.add("b", *views(0, width=6))


def test_shards_of_different_checkpoints_classes_or_settings_do_not_mix(tmp_path):
    first = dump(tmp_path / "0.h5", ["x"])
    with pytest.raises(ScoresError, match=r"1.h5: dumped with checkpoint c2, but .*0.h5 with c1"):
        read_features([first, dump(tmp_path / "1.h5", checkpoint="c2")])
    with pytest.raises(ScoresError, match=r"2.h5: the same classes in another order"):
        read_features([first, dump(tmp_path / "2.h5", classes=CLASSES[::-1])])
    with pytest.raises(ScoresError, match=r"3.h5: 4 views per video, dumped with"):
        read_features([first, dump(tmp_path / "3.h5", settings='{"num_clips": 4}')])
    with pytest.raises(ScoresError, match=r"4.h5: 1 videos that an earlier shard has too, first 'x'"):
        read_features([first, dump(tmp_path / "4.h5", ["w", "x"])])


def test_duplicated_ids_missing_damaged_and_unfinished_files_are_named(tmp_path):
    with pytest.raises(ScoresError, match=r"f.h5: video 'a' occurs 2 times"):
        dump(tmp_path / "f.h5", ["a", "b", "a"])
    with pytest.raises(ScoresError, match=r"gone.h5: no such features file"):
        read_features([tmp_path / "gone.h5"])
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(ScoresError, match=r"text.h5: cannot be read"):
        read_features([tmp_path / "text.h5"])
    path = dump(tmp_path / "cut.h5")
    with h5py.File(path, "a") as h5:
        del h5.attrs["complete"]
    with pytest.raises(ScoresError, match=r"cut.h5: not complete"):
        read_features([path])


def test_a_flipped_byte_is_noticed(tmp_path):
    path = dump(tmp_path / "f.h5", dtype="float32")
    row = views(sum(b"b"))[2].astype(np.float32).tobytes()
    data = bytearray(path.read_bytes())
    data[data.index(row) + 9] ^= 1
    path.write_bytes(data)
    features = read_features([path])
    features.read("features_local", 0)
    with pytest.raises(ScoresError, match=r"f.h5: cannot be read .*Delete it and dump it"):
        features.read("features_local", 1)


def test_readers_survive_pickling_into_a_worker(tmp_path):
    import pickle

    features = read_features([dump(tmp_path / "f.h5")])
    before = features.read("logits", 1)
    assert (pickle.loads(pickle.dumps(features)).read("logits", 1) == before).all()


def test_more_shards_than_may_be_open_are_read_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("lgdnet.scores.features.MAX_OPEN_FILES", 2)
    shards = [dump(tmp_path / f"{video_id}.h5", [video_id]) for video_id in "abcde"]
    features = read_features(shards)
    for row in [0, 4, 2, 0, 3, 1]:
        expected = views(sum("abcde"[row].encode()))[4]
        np.testing.assert_allclose(features.read("logits", row), expected, rtol=1e-6)
    assert len(features._open) == 2
