"""The submission has what the official script needs, and is judged as it would judge it."""

import json
from itertools import pairwise

import numpy as np
import pytest

from lgdnet import metrics, submission
from lgdnet.__main__ import app
from lgdnet.scores import ScoresError, softmax, write_scores
from lgdnet.stages import submission as stage
from lgdnet.submission import SubmissionError, make_submission, submission_id

CLASSES = [f"class {k}" for k in range(8)]
IDS = [f"{'abcdefghij'}{i}_000047_0000{57 + i}" for i in range(6)]
SCORES = softmax(np.random.default_rng(0).normal(size=(6, 8)))


def official_error(truth, results, k):
    """eval_kinetics.py as published, in a few lines: a video without an answer has no hit."""
    hits = []
    for video_id, labels in truth.items():
        answers = results.get(video_id, [])
        order = np.array([a["score"] for a in answers]).argsort()[::-1][:k]
        predicted = [answers[i]["label"] for i in order]
        hits.append(np.ceil(np.mean([label in predicted for label in labels])) if answers else 0.0)
    return 1 - float(np.mean(hits))


def test_ids_lose_the_zero_padding_of_their_times():
    assert submission_id("p76-UdadD7w_000047_000057") == "p76-UdadD7w_47_57"
    assert submission_id("p_6-UdadD_w_000000_000010") == "p_6-UdadD_w_0_10"
    assert submission_id("clip_12") == "clip_12"


def test_the_official_order_of_the_answers_is_ours_even_with_ties():
    tied = np.array([[0.25, 0.25, 0.5, 0, 0, 0, 0, 0], [0.125] * 8], np.float32)
    answers = make_submission(["a", "b"], tied, CLASSES)["results"]
    for row, video_id in enumerate("ab"):
        scores = [answer["score"] for answer in answers[video_id]]
        assert all(a > b for a, b in pairwise(scores))
        assert [a["label"] for a in answers[video_id]] == [
            CLASSES[k] for k in metrics.top_classes(tied, 5)[row]
        ]


def test_logits_become_probabilities_in_their_own_order():
    logits = np.array([[5.0, 900, 2, 3, -900, 4, 0, 1]], np.float32)
    answers = make_submission(["a"], logits, CLASSES, is_log=True)["results"]["a"]
    assert [answer["label"] for answer in answers] == [CLASSES[k] for k in (1, 0, 5, 3, 2)]
    assert answers[0]["score"] == 1 and all(a["score"] > b["score"] for a, b in pairwise(answers))


def test_leaderboard_and_official_script_agree(tmp_path):
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 4, (200, 8)).astype(np.float32)
    labels = generator.integers(0, 8, 200)
    present = generator.random(200) > 0.1
    ids = np.array([f"v{i}" for i in range(200)])
    path = tmp_path / "submission.json"
    made = make_submission(ids[present], scores[present], CLASSES)
    submission.write_submission(path, made)
    truth = {video_id: [CLASSES[y]] for video_id, y in zip(ids.tolist(), labels, strict=True)}
    found = submission.evaluate(path, truth)
    assert found.top1 == pytest.approx(metrics.top_k_accuracy(scores, labels, 1, present))
    assert found.top5 == pytest.approx(metrics.top_k_accuracy(scores, labels, 5, present))
    assert found.avg_error == pytest.approx(metrics.average_error(scores, labels, present))
    assert 1 - found.top1 == pytest.approx(official_error(truth, made["results"], 1))
    assert 1 - found.top5 == pytest.approx(official_error(truth, made["results"], 5))
    assert found.num_missing == (~present).sum()


def test_files_of_others_are_judged_too(tmp_path):
    (tmp_path / "other.json").write_text(
        json.dumps(
            {
                "version": "VERSION 1.3",
                "results": {"a": [{"label": "x", "score": 1}], "b": [{"score": 2.0, "label": "y"}]},
            }
        )
    )
    database = {
        "a": {"subset": "validation", "annotations": [{"label": "x"}]},
        "b": {"subset": "validation", "annotations": [{"label": "x"}, {"label": "y"}]},
        "c": {"subset": "validation", "annotations": [{"label": "z"}]},
        "d": {"subset": "training", "annotations": [{"label": "z"}]},
    }
    (tmp_path / "truth.json").write_text(json.dumps({"database": database, "taxonomy": [], "version": "1"}))
    found = stage.judge(tmp_path / "other.json", tmp_path / "truth.json")
    assert (found.num_videos, found.num_missing) == (3, 1) and found.top1 == pytest.approx(2 / 3)
    with pytest.raises(SubmissionError, match=r"other.json: the ground truth has no videos"):
        stage.judge(tmp_path / "other.json", tmp_path / "truth.json", subset="testing")


def manifest(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("video_id,label,class_index\n" + "".join(f"{v},,-1\n" for v in IDS))
    return path


def test_the_stage_answers_every_video_and_guesses_where_it_has_no_scores(tmp_path):
    write_scores(tmp_path / "s.h5", IDS[1:], SCORES[1:], CLASSES, provenance={}, absent=IDS[:1])
    (tmp_path / "rejected.csv").write_text(
        "video_id,path,split,verdict,reason\nzz,zz.mp4,test,empty,\nyy,y,train,empty,\n"
    )
    stage.run(
        tmp_path / "s.h5",
        manifest(tmp_path),
        tmp_path / "submission.json",
        rejected=tmp_path / "rejected.csv",
        external_data="ImageNet",
    )
    made = json.loads((tmp_path / "submission.json").read_text())
    assert made["version"] == "KINETICS VERSION 1.0" and made["external_data"] == {
        "used": True,
        "details": "ImageNet",
    }
    assert set(made["results"]) == {*map(submission_id, IDS), "zz"}
    assert made["results"][submission_id(IDS[2])][0]["label"] == CLASSES[SCORES[2].argmax()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("version"), "no version; the official script needs all three"),
        (lambda s: s.update(version="1.3"), "version is not 'KINETICS VERSION 1.0'"),
        (lambda s: s.update(external_data={}), "external_data has no `used"),
        (lambda s: s.update(external_data={"used": True, "details": ""}), "used but has no details"),
        (lambda s: s.update(results=[]), "results is not an object"),
        (lambda s: s["results"].pop(submission_id(IDS[0])), "video 'abcdefghij0_47_57' is missing"),
        (lambda s: s["results"].update(x=[]), "video 'x' is not in the test list"),
        (lambda s: s["results"][submission_id(IDS[0])].clear(), "needs 1 to 5 labels"),
        (lambda s: s["results"][submission_id(IDS[0])][0].update(label="fly"), "has the unknown label 'fly'"),
        (
            lambda s: s["results"][submission_id(IDS[0])].__setitem__(
                1, s["results"][submission_id(IDS[0])][0]
            ),
            "has a label twice",
        ),
        (
            lambda s: s["results"][submission_id(IDS[0])][0].update(score="1"),
            "a score that is no finite number",
        ),
        (
            lambda s: s["results"][submission_id(IDS[0])][0].update(score=10**400),
            "a score that is no finite number",
        ),
        (
            lambda s: s["results"][submission_id(IDS[0])][0].update(label=["fly"]),
            r"has the unknown label \['fly'\]",
        ),
    ],
)
def test_the_validator_names_every_fault(tmp_path, change, message):
    made = make_submission(IDS, SCORES, CLASSES)
    path = tmp_path / "submission.json"
    submission.write_submission(path, made)
    submission.validate(path, IDS, CLASSES)
    change(made)
    submission.write_submission(path, made)
    with pytest.raises(SubmissionError, match=f"submission.json: .*{message}"):
        submission.validate(path, IDS, CLASSES)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(SubmissionError, match=r"gone.json: no such file"):
        submission.validate(tmp_path / "gone.json", IDS, CLASSES)
    for text, message in [("{", "not JSON"), ("[]", "not a submission")]:
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(SubmissionError, match=f"s.json: {message}"):
            submission.validate(tmp_path / "s.json", IDS, CLASSES)
    with pytest.raises(SubmissionError, match=r"s.json: no results"):
        submission.evaluate(tmp_path / "s.json", {"a": ["x"]})
    (tmp_path / "s.json").write_text('{"results": {"a": [{"label": "x"}]}}')
    with pytest.raises(SubmissionError, match=r"s.json: video 'a' has an answer without label and score"):
        submission.evaluate(tmp_path / "s.json", {"a": ["x"]})
    with pytest.raises(SubmissionError, match=r"s.json: not a ground truth"):
        submission.read_truth(tmp_path / "s.json")
    (tmp_path / "m.csv").write_text("video_id\na\n")
    with pytest.raises(ScoresError, match=r"m.csv: no column label; a ground truth needs at least video_id"):
        stage.judge(tmp_path / "s.json", tmp_path / "m.csv")


def answered(tmp_path, results):
    made = {"version": submission.VERSION, "external_data": {"used": False}, "results": results}
    (tmp_path / "s.json").write_text(json.dumps(made))
    return tmp_path / "s.json"


@pytest.mark.parametrize(
    ("truth", "error", "message"),
    [
        ("video_id,label\na,\nb,\n", SubmissionError, r"t.csv: 2 of 2 videos have no label, first 'a'"),
        (
            "video_id,label\nx,run\ny,run\n",
            SubmissionError,
            "none of its 1 videos is among the 2 .* first is 'x'",
        ),
        ("video_id,label\na,run\na,jump\n", ScoresError, r"t.csv: video 'a' occurs 2 times"),
        (
            f"video_id,label\n{IDS[0]},run\n{submission_id(IDS[0])},jump\n",
            ScoresError,
            r"t.csv: video '.*' occurs 2",
        ),
    ],
)
def test_a_truth_that_nothing_can_be_judged_by_is_an_error_and_not_a_number(tmp_path, truth, error, message):
    (tmp_path / "t.csv").write_text(truth)
    path = answered(tmp_path, {"a": [{"label": "run", "score": 1}]})
    with pytest.raises(error, match=message):
        stage.judge(path, tmp_path / "t.csv")


def test_an_official_truth_without_labels_is_an_error(tmp_path):
    database = {"a": {"subset": "testing", "annotations": []}}
    (tmp_path / "t.json").write_text(json.dumps({"database": database}))
    path = answered(tmp_path, {"a": [{"label": "run", "score": 1}]})
    with pytest.raises(SubmissionError, match=r"t.json: 1 of 1 videos have no label, first 'a'"):
        stage.judge(path, tmp_path / "t.json", subset="testing")


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 10**400])
def test_a_score_that_is_no_number_is_judged_by_nobody(tmp_path, score):
    path = answered(tmp_path, {"a": [{"label": "jump", "score": score}, {"label": "run", "score": 1}]})
    with pytest.raises(SubmissionError, match=r"s.json: video 'a' has "):
        submission.evaluate(path, {"a": ["run"]})


def test_a_key_that_occurs_twice_is_an_error_when_checked_and_when_judged(tmp_path):
    (tmp_path / "s.json").write_text('{"results": {"a": [{"label": "x", "score": 1}], "a": []}}')
    for read in (lambda path: submission.validate(path, ["a"], ["x"]), lambda p: submission.evaluate(p, {})):
        with pytest.raises(SubmissionError, match=r"s.json: the key 'a' occurs twice"):
            read(tmp_path / "s.json")


def test_two_ids_that_are_one_in_a_submission_are_an_error(tmp_path):
    twins = ["abcdefghijk_000001_000011", "abcdefghijk_1_11"]
    write_scores(tmp_path / "s.h5", twins, SCORES[:2], CLASSES, provenance={})
    (tmp_path / "test.csv").write_text("\n".join(["video_id", *twins]))
    with pytest.raises(ScoresError, match=r"test.csv: video 'abcdefghijk_1_11' occurs 2 times"):
        stage.run(tmp_path / "s.h5", tmp_path / "test.csv", tmp_path / "submission.json")


def test_a_submission_is_checked_from_the_command_line(tmp_path, capsys):
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    (tmp_path / "rejected.csv").write_text("video_id,path,split,verdict,reason\nzz,zz.mp4,test,empty,\n")
    path = tmp_path / "s.json"
    command = ["validate", path, "--manifest", manifest(tmp_path), "--classes", tmp_path / "classes.txt"]
    submission.write_submission(path, make_submission(IDS, SCORES, CLASSES))
    app([str(word) for word in command], standalone_mode=False)
    assert "all 6 videos are answered" in capsys.readouterr().out
    with pytest.raises(SubmissionError, match=r"s.json: video 'zz' is missing"):
        app([*map(str, command), "--rejected", str(tmp_path / "rejected.csv")], standalone_mode=False)
