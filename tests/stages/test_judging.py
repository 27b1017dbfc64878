"""Leaderboard, study and comparison count the same videos, and the classes they count are the manifest's."""

import re

import numpy as np
import pandas as pd
import pytest
from made_up import CLASSES, IDS, LABELS, STREAMS, K

from lgdnet.fusion import Fusion, Stream, cross_fit, deal_folds, fit, predict
from lgdnet.leaderboard import Row
from lgdnet.scores import ScoresError, write_scores
from lgdnet.scores.labels import read_labels
from lgdnet.stages import compare, evaluate, fuse, import_scores

EQUAL = Fusion("both", ("frame", "flow"))


def reject(folder, num=10, split="validation"):
    lines = [f"r{i},r{i}.mp4,{split},truncated," for i in range(num)]
    (folder / "rejected.csv").write_text("\n".join(["video_id,path,split,verdict,reason", *lines]))
    return folder / "rejected.csv"


def fused(folder, **options):
    files = {name: folder / f"{name}.h5" for name in STREAMS}
    manifest = options.pop("manifest", folder / "validation.csv")
    fuse.run(files, manifest, folder / "fused.h5", fusion=EQUAL, study_out=folder / "study.csv", **options)
    return pd.read_csv(folder / "study.csv").set_index("streams").loc["all, cross-fitted"]


def board(folder, file, manifest="validation.csv", **options):
    evaluate.run([folder / file], folder / manifest, folder / "l.csv", rows=[Row("x", "X")], **options)
    return pd.read_csv(folder / "l.csv").iloc[0]


def test_the_study_and_the_comparison_count_rejected_videos_as_the_leaderboard_does(folder):
    rejected = reject(folder)
    without, study = fused(folder), fused(folder, rejected=rejected)
    row = board(folder, "fused.h5", rejected=rejected)
    assert row["videos"] == 310 and study["Top1"] < without["Top1"]
    for name in ("Top1", "Top5", "avg_error"):
        assert study[name] == pytest.approx(row[name], abs=0.051)
    text = compare.run(
        folder / "fused.h5", folder / "flow.h5", folder / "validation.csv", rejected=rejected
    ).splitlines()
    assert text[2].startswith("310 videos;")
    assert float(text[3].split()[2]) == pytest.approx(study["Top1"], abs=0.006)


def test_the_split_is_said_or_stands_in_the_name_of_the_manifest(folder):
    rejected = reject(folder)
    (folder / "val.csv").write_text((folder / "validation.csv").read_text())
    with pytest.raises(ScoresError, match=r"val.csv: is it the train, the validation or the test .* --split"):
        board(folder, "flow.h5", "val.csv", rejected=rejected)
    told = board(folder, "flow.h5", "val.csv", rejected=rejected, split="validation")
    assert told["videos"] == 310 == board(folder, "flow.h5", rejected=rejected)["videos"]
    assert board(folder, "flow.h5", rejected=reject(folder, split="train"))["videos"] == 300


def test_a_video_that_is_both_listed_and_rejected_is_an_error(folder):
    rejected = reject(folder)
    rejected.write_text(rejected.read_text().replace("r0,", "v007,"))
    with pytest.raises(
        ScoresError, match=r"rejected.csv: 1 of its videos are in .*validation.csv too, first 'v007'"
    ):
        board(folder, "flow.h5", rejected=rejected)
    rejected.write_text("video_id\n")
    with pytest.raises(ScoresError, match=r"rejected.csv: no column split"):
        board(folder, "flow.h5", rejected=rejected)


def test_classes_in_another_order_than_the_manifest_are_an_error_everywhere(folder):
    turned = ["b", "a", "c", "d"]  # all files agree among themselves
    for name, scores in STREAMS.items():
        write_scores(folder / f"{name}.h5", IDS, scores[:, [1, 0, 2, 3]], turned, provenance={})
    message = r"flow.h5: its class . is '.', but .*validation.csv calls it '.'.* --class-order"
    with pytest.raises(ScoresError, match=message):
        board(folder, "flow.h5")
    with pytest.raises(ScoresError, match=message):
        compare.run(folder / "flow.h5", folder / "frame.h5", folder / "validation.csv")
    with pytest.raises(ScoresError, match=message.replace("flow", "frame")):
        fused(folder)


def test_an_import_is_checked_against_the_classes_of_the_manifest(folder):
    np.savez(folder / "x.npz", scores=STREAMS["flow"], names=IDS, classes=np.array(CLASSES[::-1]))
    keys = {"ids_key": "names", "classes_key": "classes", "manifest": folder / "validation.csv"}
    with pytest.raises(ScoresError, match=r"x.npz: its class . is '.', but .*validation.csv calls it"):
        import_scores.run(folder / "x.npz", folder / "x.h5", **keys)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    import_scores.run(folder / "x.npz", folder / "x.h5", class_order=folder / "classes.txt", **keys)
    turned = 100 * np.mean((K - 1 - STREAMS["flow"].argmax(axis=1)) == LABELS)
    assert board(folder, "x.h5")["Top1"] == pytest.approx(turned, abs=0.051)


@pytest.mark.parametrize("value", ["1.5", "", "two", "-2"])
def test_a_class_index_that_is_no_whole_number_is_an_error(folder, value):
    (folder / "m.csv").write_text(f"video_id,class_index\nv000,1\nv001,{value}\n")
    with pytest.raises(ScoresError, match=rf"m.csv: row 3: class_index '{value}' is no class"):
        read_labels(folder / "m.csv")


def test_a_manifest_that_is_none_is_an_error(folder):
    (folder / "m.csv").write_text("")
    with pytest.raises(ScoresError, match=r"m.csv: not a manifest"):
        read_labels(folder / "m.csv")
    (folder / "m.csv").write_text("id\nv000\n")
    with pytest.raises(ScoresError, match=r"m.csv: no column video_id; a manifest needs"):
        read_labels(folder / "m.csv")


def test_a_stream_is_left_out_under_cross_fitting_too(folder):
    fusion = Fusion("x", ("flow", "noise", "frame"), "stack", calibrate=True)
    files = {name: folder / f"{name}.h5" for name in STREAMS}
    fuse.run(files, folder / "validation.csv", folder / "f.h5", fusion=fusion, study_out=folder / "study.csv")
    streams = {name: Stream(scores, np.ones(len(IDS), bool)) for name, scores in STREAMS.items()}
    folds = deal_folds(IDS, LABELS)
    study, differs = pd.read_csv(folder / "study.csv").set_index("streams"), False
    for name in STREAMS:
        rest = fusion.without(name)
        honest, _, _ = cross_fit(rest, streams, LABELS, folds)
        flattered, _ = predict(fit(rest, streams, LABELS, np.arange(len(IDS))), streams, np.arange(len(IDS)))
        top1 = [100 * np.mean(scores.argmax(axis=1) == LABELS) for scores in (honest, flattered)]
        assert study.loc[f"without {name}", "Top1"] == pytest.approx(top1[0], abs=0.006)
        differs |= abs(top1[0] - top1[1]) > 0.1
    assert differs


def test_a_comparison_says_which_is_better_in_every_figure(folder):
    classes = [*CLASSES, *"efgh"]  # eight, so that the top five are not all
    generator, labels = np.random.default_rng(3), np.random.default_rng(4).integers(0, 8, len(IDS))
    table = {"video_id": IDS, "label": [classes[y] for y in labels], "class_index": labels}
    pd.DataFrame(table).to_csv(folder / "validation.csv", index=False)
    expected = {}
    for name, strength in (("good", 2.0), ("bad", 0.3)):
        logits = generator.normal(size=(len(IDS), 8)) + strength * np.eye(8)[labels]
        write_scores(folder / f"{name}.h5", IDS, logits, classes, kind="logits", provenance={})
        rank = (logits > logits[np.arange(len(IDS)), labels][:, None]).sum(axis=1)
        top1, top5 = 100 * np.mean(rank < 1), 100 * np.mean(rank < 5)
        expected[name] = np.array([top1, top5, 100 - (top1 + top5) / 2])
    text = compare.run(folder / "good.h5", folder / "bad.h5", folder / "validation.csv")
    for i, line in enumerate(text.splitlines()[3:6]):
        a, b, difference, low, high = map(float, re.findall(r"[+-]?\d+\.\d+", line))
        assert [a, b] == pytest.approx([expected["good"][i], expected["bad"][i]], abs=0.006)
        assert difference == pytest.approx(a - b, abs=0.011) and low < difference < high
        assert (difference < 0) == (i == 2)  # errors fall where accuracies rise


def test_confusions_say_which_class_was_taken_for_which(folder):
    scores = np.eye(K, dtype=np.float32)[np.where(LABELS == 0, 1, LABELS)]  # every `a` is taken for `b`
    write_scores(folder / "x.h5", IDS, scores, CLASSES, provenance={})
    board(folder, "x.h5", confusions=folder / "confusions.csv", per_class=folder / "per_class.csv")
    (mistake,) = pd.read_csv(folder / "confusions.csv").to_dict("records")
    num = int((LABELS == 0).sum())
    assert mistake == {"row": "x", "class": "a", "predicted": "b", "videos": num, "percent_of_class": 100.0}
