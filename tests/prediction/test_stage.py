"""What a user sees of `predict` and `explain`: bars, JSON, broken videos named, annotated copies, strips."""

import io
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from lgdnet.__main__ import show_everything
from lgdnet.metrics import top_classes
from lgdnet.prediction.annotation import annotate
from lgdnet.prediction.answers import as_json, as_text, bar
from lgdnet.prediction.copies import planned_copies
from lgdnet.prediction.finished import PredictionError
from lgdnet.prediction.networks import chosen_device
from lgdnet.prediction.opening import opened
from lgdnet.prediction.predictor import Predictor
from lgdnet.prediction.strip import Clip, strip
from lgdnet.prediction.words import bars, fitting, width_of, wrapped
from lgdnet.settings import recorded
from lgdnet.stages import explain, predict
from tests.media.barcodes import write_video
from tests.prediction.made_up import CLASSES


def run(videos, challenge, **options):
    shown = []
    failures = predict.run(videos, challenge=challenge.root, show=shown.append, **options)
    return shown, failures


def answer(challenge):
    """What one row says of one video."""
    with opened(challenge.root) as finished, Predictor(finished, "frame/average_pool") as predictor:
        return predictor.predict(challenge.path("silent"))


def test_a_broken_video_is_named_and_the_others_are_done(challenge, tmp_path, capsys):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(challenge.path("silent").read_bytes()[:2000])
    videos = [challenge.path("silent"), broken, tmp_path / "missing.mp4", challenge.path("brief")]
    shown, failures = run(videos, challenge, row="frame/average_pool")
    assert [text.split(" ")[0] for text in shown] == [str(videos[0]), str(videos[3])]
    assert failures[0].startswith(f"{broken}: an mp4 without its index") and failures[1].endswith(
        "missing.mp4: no such file. Correct the name, or name a folder of videos."
    )
    assert "2 of 4 videos predicted, 2 failed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["12:30.mp4", "concat:a.mp4", "http:x.mp4"])
def test_what_stands_before_a_colon_is_no_protocol(challenge, tmp_path, monkeypatch, name):
    shutil.copy(challenge.path("sounding"), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    shown, failures = run([Path(name)], challenge)
    assert failures == [] and len(shown) == 1


def test_a_name_that_is_not_utf8_is_named_and_the_others_are_done(challenge, tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    content = challenge.path("silent").read_bytes()
    (folder / "a.mp4").write_bytes(content)
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.mp4"))
    odd.write_bytes(content)
    shown, failures = run([folder], challenge, row="frame/average_pool", annotate=tmp_path / "copies")
    said = f"{folder}/\\xff\\xfe.mp4: the name is not UTF-8. Rename the file and its folders."
    assert len(shown) == 1 and failures == [said] and said in capsys.readouterr().err
    assert list(contents(tmp_path / "copies")) == ["a.mp4"]
    with pytest.raises(PredictionError, match=r"the name is not UTF-8. Name another folder with --annotate"):
        annotated([folder], challenge, odd.with_suffix(""))


def test_flow_of_one_frame_says_how_to_go_on(challenge, tmp_path):
    single = tmp_path / "single.avi"
    write_video(single, num_frames=1, codec="mpeg4", b_frames=0)
    assert run([single], challenge, row="frame/average_pool")[1] == []
    _, failures = run([single], challenge, row="flow/average_pool")
    assert failures == [
        f"{single}: one frame, and flow needs two. Leave it out, or choose a row or stream without flow."
    ]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_answer_is_readable_whatever_the_terminal_knows(challenge, monkeypatch, encoding):
    found = answer(challenge)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert bar(0.5, 4) == ("██  " if encoding == "utf-8" else "##  ")
    line = as_json(found, "frame/average_pool", 3).encode(encoding)
    assert {one["label"] for one in json.loads(line.decode(encoding))["top"]} == set(CLASSES)
    show_everything()
    print(as_text(found, 3), flush=True)
    said = terminal.buffer.getvalue().decode(encoding)
    assert ("sch\\xf6n" if encoding == "ascii" else "schön") in said


def test_the_answer_has_bars_and_times(challenge):
    (text,), _ = run([challenge.path("sounding")], challenge, members=True)
    lines = text.splitlines()
    assert lines[0].endswith("(30 frames, 1.9 s, sound)")
    scores = [float(line.split()[-2]) for line in lines[1:4]]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(100, abs=0.2)
    assert {line.strip().split(":")[0] for line in lines[4:9]} >= {"frame/tcp", "sound/max_pool", "together"}
    assert " s: check " in text and "fusion " in text


def test_json_has_one_line_per_video_and_every_member(challenge):
    lines, failures = run(
        [challenge.path("silent"), challenge.path("rotated")], challenge, as_lines=True, count=2
    )
    assert failures == []
    silent, rotated = (json.loads(line) for line in lines)
    assert silent["row"] == "all" and silent["silent"] == ["sound/max_pool"]
    assert len(rotated["top"]) == 2 and {one["label"] for one in rotated["top"]} <= set(CLASSES)
    assert "schön hören" in "".join(run([challenge.path("silent")], challenge, as_lines=True)[0])
    assert set(rotated["members"]) == {
        "frame/average_pool",
        "flow/average_pool",
        "frame/tcp",
        "sound/max_pool",
        "together",
    }


def test_the_best_classes_are_those_of_the_log_scores_and_tie_as_the_leaderboard_has_them(challenge):
    found = answer(challenge)
    classes = ["a", "b", "c", "d"]

    def order(log_scores):
        return "".join(
            label
            for label, _ in replace(found, classes=classes, log_scores=np.array(log_scores, np.float32)).top()
        )

    assert order([0, -200, -110, -150]) == "acdb"  # the scores of all but the first round to 0
    tied = np.array([[-1, -1, -2, -1]], np.float32)
    assert order(tied[0]) == "".join(classes[i] for i in top_classes(tied, 4)[0]) == "dbac"


def test_a_folder_is_all_videos_in_it(challenge, tmp_path):
    shown, failures = run([challenge.videos], challenge, row="frame/average_pool")
    assert len(shown) == 6 and failures == []
    with pytest.raises(PredictionError, match="no videos in this folder"):
        run([tmp_path], challenge)


def test_an_annotated_copy_has_every_frame_at_its_time_and_the_sound(challenge, tmp_path):
    _, failures = run([challenge.path("irregular")], challenge, row="frame/average_pool", annotate=tmp_path)
    assert failures == []
    times = []
    for path in (challenge.path("irregular"), tmp_path / "irregular.mp4"):
        with av.open(str(path)) as container:
            assert len(container.streams.audio) == 1
            frames = [(frame.time, frame.width, frame.height) for frame in container.decode(video=0)]
        times.append(np.array([time for time, _, _ in frames]))
    assert np.allclose(times[0] - times[0][0], times[1] - times[1][0], atol=2e-3)
    assert frames[0][1] >= 360 and frames[0][2] > frames[0][1] * 96 // 128  # enlarged, with bars below


def annotated(videos, challenge, folder):
    return run(videos, challenge, row="frame/average_pool", annotate=folder)


def same_video(challenge, path):
    """Another file with what `silent` has."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(challenge.path("silent").read_bytes())
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_copies_of_equal_names_do_not_overwrite_each_other_and_a_second_run_replaces_them(
    challenge, tmp_path
):
    a = same_video(challenge, tmp_path / "a/silent.mkv")
    b = same_video(challenge, tmp_path / "b/silent.avi")
    out = tmp_path / "out"
    assert annotated([a, b], challenge, out)[1] == []
    assert sorted(contents(out)) == ["silent-2.mp4", "silent.mp4"]
    before = contents(out)
    assert annotated([b], challenge, out)[1] == []  # the other order, alone: still the second name
    assert sorted(contents(out)) == sorted(before) and contents(out)["silent.mp4"] == before["silent.mp4"]
    assert planned_copies([b, a], out) == {a: out / "silent.mp4", b: out / "silent-2.mp4"}


def test_no_copy_is_written_over_a_video_or_another_file(challenge, tmp_path):
    a = same_video(challenge, tmp_path / "a/x.mp4")
    b = same_video(challenge, tmp_path / "b/x.mp4")
    mkv = same_video(challenge, tmp_path / "b/y.mkv")
    other = same_video(challenge, tmp_path / "b/y.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    before = contents(tmp_path / "b")
    for videos in ([b], [a, b], [b, a]):
        for folder in (tmp_path / "b", tmp_path / "link"):
            with pytest.raises(PredictionError, match=r"x.mp4: is a video to predict, .*Name another folder"):
                annotated(videos, challenge, folder)
    with pytest.raises(PredictionError, match=r"y.mp4: is there already and no annotated copy.*Name another"):
        annotated([mkv], challenge, tmp_path / "b")
    other.write_text("no video")
    with pytest.raises(PredictionError, match=r"y.mp4: is there already"):
        annotated([mkv], challenge, tmp_path / "b")
    other.write_bytes(before["y.mp4"])
    assert contents(tmp_path / "b") == before
    with pytest.raises(PredictionError, match=r"b/x.mp4: no folder for annotated copies \(File exists\)"):
        annotated([a], challenge, b)


def test_a_file_that_appears_meanwhile_is_not_written_over(challenge, tmp_path):
    a = same_video(challenge, tmp_path / "a/x.mkv")
    out = planned_copies([a], tmp_path / "out")[a]
    out.write_text("mine")
    with pytest.raises(PredictionError, match=r"x.mp4: is there already"):
        annotate(a, out, [("run", 1.0)])
    assert out.read_text() == "mine"


def test_rows_that_cannot_be_are_refused_with_what_there_is(challenge):
    with opened(challenge.root) as finished:
        with pytest.raises(PredictionError, match="no row is called 'frame/tpc'; did you mean 'frame/tcp'"):
            finished.chosen_row("frame/tpc")
        with pytest.raises(PredictionError, match=r"needs scores of another tool \(foreign\)"):
            finished.chosen_row("with-others")
        assert "with-others" not in finished.rows()


def test_a_network_of_other_settings_is_refused(challenge, tmp_path):
    changed_file = tmp_path / "other.yaml"
    values = json.loads(recorded(challenge.challenge))
    values["streams"]["frame"]["clip_length"] = 16
    changed_file.write_text(json.dumps(values))
    with (
        opened(challenge.root, config=changed_file) as finished,
        pytest.raises(PredictionError, match=r"streams/frame/model.safetensors: trained with other settings"),
    ):
        Predictor(finished, "frame/average_pool")


def test_a_gpu_that_is_not_there_is_an_error():
    import torch

    if torch.cuda.is_available():
        assert chosen_device("auto").type == "cuda"
    else:
        assert chosen_device("auto").type == "cpu"
        with pytest.raises(PredictionError, match="no CUDA device here"):
            chosen_device("cuda")


def test_bars_and_words_fit():
    assert bar(0, 4) == "    " and bar(1, 4) == "████" and bar(0.5, 4) == "██  " and len(bar(0.33, 4)) == 4
    assert width_of(fitting("a very long name of a class", 60, 14), 14) <= 60
    picture = bars([("one", 1.0), ("a class with a name that does not end" * 3, 0.0)], 320, 14)
    assert picture.shape[1] == 320 and picture.dtype == np.uint8


@pytest.mark.parametrize("stream", ["frame", "flow", "sound"])
def test_a_strip_is_drawn_for_every_modality(challenge, tmp_path, stream):
    import cv2

    out = tmp_path / "strip.png"
    found = explain.run(challenge.path("sounding"), out, challenge=challenge.root, stream=stream, label="run")
    assert found.label == "run" and found.is_sum
    assert found.local + found.global_ + found.constant == pytest.approx(found.logit, abs=1e-4)
    picture = cv2.imread(str(out))
    assert picture.shape[0] > 200 and picture.shape[1] >= 3 * 150
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_a_strip_is_the_picture_that_its_suffix_says(challenge, tmp_path, suffix):
    from PIL import Image

    out = tmp_path / f"strip{suffix}"
    for _ in range(2):  # a second run replaces it
        explain.run(challenge.path("brief"), out, challenge=challenge.root)
    with Image.open(out) as picture:
        assert picture.format == {"jpg": "JPEG"}.get(suffix[1:], suffix[1:].upper())


def test_a_strip_is_written_over_no_folder_and_no_other_file(challenge, tmp_path):
    def refused(out, said):
        with pytest.raises(PredictionError, match=said):
            explain.run(challenge.path("brief"), out, challenge=challenge.root)

    (tmp_path / "notes.png").write_text("mine")
    refused(tmp_path / "notes.png", r"notes.png: is there already and no picture. Delete it, or name another")
    assert (tmp_path / "notes.png").read_text() == "mine"
    refused(tmp_path, r": a folder. Name the picture to write, such as .*explain.png")
    refused(
        tmp_path / "a.gif", r"a.gif: no kind of picture is called '.gif'. Name a file that ends in .png, "
    )
    with pytest.raises(PredictionError, match=r": a folder, one file is needed. Name a file in it."):
        explain.run(challenge.videos, tmp_path / "a.png", challenge=challenge.root)


def test_the_legend_of_a_short_strip_is_whole(challenge, tmp_path):
    for note in explain.notes_of(True):
        lines = wrapped(note, 560, 14)
        assert " ".join(lines) == note and len(lines) > 1
        assert all(fitting(line, 560 - 14, 14) == line for line in lines)
    assert wrapped("anotherwordthatistoolong a b", 60, 14) == ["anotherwordthatistoolong", "a b"]
    clip = Clip("0.0 s", np.zeros((1, 90, 90, 3), np.uint8), np.ones((1, 2, 2), np.float32), 0.0, 0.0, 4.0)
    short, long = (len(strip([clip], "title", [note])) for note in ("add up", " ".join(["add up"] * 30)))
    assert long > short + 30


def test_explain_takes_the_class_that_the_stream_finds_best(challenge, tmp_path):
    found = explain.run(challenge.path("silent"), tmp_path / "a.png", challenge=challenge.root)
    assert found.stream == "frame"
    others = [
        explain.run(challenge.path("silent"), tmp_path / "b.png", challenge=challenge.root, label=label).logit
        for label in CLASSES
    ]
    assert found.logit == pytest.approx(max(others), abs=1e-5)


def test_what_cannot_be_explained_is_refused(challenge, tmp_path):
    out = tmp_path / "a.png"
    with pytest.raises(PredictionError, match="no stream is called 'frames'; did you mean 'frame'"):
        explain.run(challenge.path("silent"), out, challenge=challenge.root, stream="frames")
    with pytest.raises(PredictionError, match="no class is called 'walk'"):
        explain.run(challenge.path("silent"), out, challenge=challenge.root, label="walk")
    with pytest.raises(PredictionError, match="nothing to hear, and 'sound' listens"):
        explain.run(challenge.path("silent"), out, challenge=challenge.root, stream="sound")
    assert not out.exists()


def test_a_head_that_is_not_linear_is_said_in_the_picture():
    assert "by gradient" in explain.notes_of(False)[1] and "add up" in explain.notes_of(True)[1]
