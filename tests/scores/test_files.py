"""Score files are joined by id, and a faulty one is an error with its name, never a number."""

import h5py
import numpy as np
import pytest

from lgdnet.leaderboard import Row
from lgdnet.scores import ScoresError, align, read_scores, softmax, write_scores
from lgdnet.stages import evaluate

CLASSES = ["run", "jump", "sing"]
IDS = np.array(["a", "b", "c", "d"])
SCORES = softmax(np.random.default_rng(0).normal(size=(4, 3)))


def save(path, ids=IDS, scores=SCORES, classes=CLASSES, **more):
    write_scores(path, ids, scores, classes, provenance={"settings": "{}"}, **more)
    return read_scores(path)


def damage(path, name, value):
    with h5py.File(path, "a") as h5:
        del h5[name]
        h5[name] = value


def test_a_score_file_round_trips(tmp_path):
    found = save(tmp_path / "s.h5", absent=["e"], networks={"c": {"parameters": 3.0}})
    assert found.video_ids.tolist() == IDS.tolist() and found.absent.tolist() == ["e"]
    assert (found.scores == SCORES).all() and found.classes == CLASSES and found.cost == {"parameters": 3.0}


def test_a_shuffled_stream_is_joined_by_id(tmp_path):
    order = np.array([2, 0, 3, 1])
    straight, shuffled = save(tmp_path / "1.h5"), save(tmp_path / "2.h5", IDS[order], SCORES[order])
    aligned, present = align([straight, shuffled], IDS, tmp_path / "m.csv")
    assert (aligned[0] == aligned[1]).all() and present.all()


def test_a_missing_id_is_an_error_and_an_absent_one_is_not(tmp_path):
    lacking = save(tmp_path / "lacking.h5", IDS[:3], SCORES[:3])
    with pytest.raises(ScoresError, match=r"lacking.h5: no scores for 1 of 4 videos in .*m.csv, first 'd'"):
        align([lacking], IDS, tmp_path / "m.csv")
    told = save(tmp_path / "told.h5", IDS[:3], SCORES[:3], absent=["d"])
    aligned, present = align([told], IDS, tmp_path / "m.csv")
    assert present.tolist() == [[True, True, True, False]] and (aligned[0, 3] == 0).all()


def test_scores_of_more_videos_than_the_split_has_are_an_error(tmp_path):
    whole = save(tmp_path / "whole.h5", absent=["e"])
    for known, num, first in ((IDS, 1, "'e'"), (np.array(["a", "b", "c", "e"]), 1, "'d'")):
        message = rf"whole.h5: {num} of its 5 videos are not in .*m.csv, first {first}"
        with pytest.raises(ScoresError, match=message):
            align([whole], known, tmp_path / "m.csv")


def test_different_class_lists_are_an_error(tmp_path):
    one = save(tmp_path / "one.h5")
    other = save(tmp_path / "other.h5", classes=["run", "jump", "cook"])
    with pytest.raises(
        ScoresError, match=r"other.h5: 3 classes instead of 3, first that only one of them has: 'cook'"
    ):
        align([one, other], IDS, tmp_path / "m.csv")
    turned = save(tmp_path / "turned.h5", classes=["jump", "run", "sing"])
    with pytest.raises(
        ScoresError, match=r"turned.h5: the same classes in another order: column 0 is 'jump'"
    ):
        align([one, turned], IDS, tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("video_id", np.array([b"a", b"b", b"b", b"d"]), r"s.h5: video 'b' occurs 2 times"),
        (
            "scores",
            np.full((4, 3), np.nan, np.float32),
            r"s.h5: scores of 4 videos are NaN or infinite, first 'a'",
        ),
        (
            "scores",
            np.ones((4, 3), np.float32),
            r"s.h5: scores of 4 videos are no probabilities, first 'a' with sum 3",
        ),
        ("scores", SCORES[:3], r"s.h5: not complete"),
        (
            "classes",
            np.array([b"run", b"jump"]),
            r"s.h5: scores of shape \(4, 3\) for 4 videos and 2 classes",
        ),
    ],
)
def test_planted_faults_in_a_file_are_errors_with_its_name(tmp_path, name, value, message):
    save(tmp_path / "s.h5")
    damage(tmp_path / "s.h5", name, value)
    with pytest.raises(ScoresError, match=message):
        read_scores(tmp_path / "s.h5")


def test_missing_foreign_and_damaged_files_are_named(tmp_path):
    with pytest.raises(ScoresError, match=r"gone.h5: no such score file"):
        read_scores(tmp_path / "gone.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ScoresError, match=r"text.h5: cannot be read"):
        read_scores(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(ScoresError, match=r"other.h5: not a score file"):
        read_scores(tmp_path / "other.h5")


def test_logits_become_probabilities_when_asked(tmp_path):
    found = save(tmp_path / "s.h5", scores=np.log(SCORES) + 5, kind="logits")
    np.testing.assert_allclose(found.probabilities(), SCORES, rtol=1e-5)


def manifest(tmp_path, labels=(0, 1, 2, 1)):
    path = tmp_path / "m.csv"
    path.write_text(
        "video_id,class_index\n" + "".join(f"{v},{y}\n" for v, y in zip(IDS, labels, strict=True))
    )
    return path


def test_the_leaderboard_has_the_slides_columns_and_counts_missing_videos_as_wrong(tmp_path):
    perfect = np.eye(3, dtype=np.float32)[[0, 1, 2]]
    save(tmp_path / "s.h5", IDS[:3], perfect, absent=["d"])
    evaluate.run(
        [tmp_path / "s.h5"],
        manifest(tmp_path),
        tmp_path / "leaderboard.csv",
        rows=[Row("x/ap", "Frame", "LGD", "16", "AP")],
    )
    head, line = (tmp_path / "leaderboard.csv").read_text().splitlines()
    assert head.startswith("Input,Backbone,Clip,Aggregation,Top1,Top5,")
    assert line.startswith("Frame,LGD,16,AP,75.0,75.0,")
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert (cells["avg_error"], cells["mean_class"], cells["videos"], cells["missing"]) == (
        "25.0",
        "83.3",
        "4",
        "1",
    )
    assert cells["top1_interval"] == "25.0-100.0"


def test_an_unlabelled_split_and_a_label_beyond_the_classes_are_errors(tmp_path):
    save(tmp_path / "s.h5")
    for labels, message in [
        ((0, 1, -1, 1), r"m.csv: 1 of 4 videos have no label"),
        ((0, 1, 3, 1), r"s.h5: 3 classes, but .*m.csv has class_index 3"),
    ]:
        with pytest.raises(ScoresError, match=message):
            evaluate.run(
                [tmp_path / "s.h5"], manifest(tmp_path, labels), tmp_path / "l.csv", rows=[Row("s", "Frame")]
            )
