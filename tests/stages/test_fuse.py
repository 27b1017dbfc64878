"""From score files to the leaderboard: faults end in an error with the file's name, never in a number."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from made_up import CLASSES, GENERATOR, IDS, LABELS, STREAMS, K, N

from lgdnet.errors import InputError
from lgdnet.fusion import Fusion
from lgdnet.leaderboard import Row, printed, rows_from_json
from lgdnet.scores import ScoresError, read_scores, read_weights, write_scores
from lgdnet.stages import compare, evaluate, fuse

SEARCHED = Fusion("all", ("frame", Fusion("motion", ("flow", "noise"), "greedy")), "convex", calibrate=True)


def run(folder, fusion=SEARCHED, **options):
    files = {name: folder / f"{name}.h5" for name in STREAMS}
    fuse.run(files, folder / "validation.csv", folder / "fused.h5", fusion=fusion, **options)
    return read_scores(folder / "fused.h5")


def test_a_stream_that_lacks_videos_is_left_out_for_them_and_the_log_says_how_often(folder, capsys):
    write_scores(folder / "noise.h5", IDS[7:], STREAMS["noise"][7:], CLASSES, provenance={}, absent=IDS[:7])
    equal, without = Fusion("all", ("frame", "noise"), "given"), Fusion("one", ("frame",), "given")
    fused, frame = run(folder, equal).scores, run(folder, without).scores
    np.testing.assert_allclose(fused[:7], frame[:7], rtol=1e-6)
    assert not np.allclose(fused[7:], frame[7:])
    assert "noise: nothing to say on 7 of 300 videos; left out for them" in capsys.readouterr().err


def test_order_of_rows_in_a_stream_changes_nothing(folder):
    before = run(folder).scores
    turned = GENERATOR.permutation(N)
    write_scores(folder / "flow.h5", IDS[turned], STREAMS["flow"][turned], CLASSES, provenance={})
    after = run(folder)
    assert (after.video_ids == IDS).all() and (after.scores == before).all()


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (
            {"video_ids": IDS[1:], "scores": STREAMS["flow"][1:]},
            r"flow.h5: no scores for 1 of 300 videos .* first 'v000'",
        ),
        (
            {"classes": ["a", "b", "c", "e"]},
            r"flow.h5: 4 classes instead of 4, first that only one of them has: 'd'",
        ),
        ({"classes": ["b", "a", "c", "d"]}, r"flow.h5: the same classes in another order"),
    ],
)
def test_a_faulty_stream_is_an_error_with_its_name(folder, rewrite, message):
    content = {"video_ids": IDS, "scores": STREAMS["flow"], "classes": CLASSES, **rewrite}
    write_scores(folder / "flow.h5", **content, provenance={})
    with pytest.raises(ScoresError, match=message):
        run(folder)
    assert not (folder / "fused.h5").exists()


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("video_id", 3, b"v000", r"flow.h5: video 'v000' occurs 2 times"),
        ("scores", 3, np.nan, r"flow.h5: scores of 1 videos are NaN or infinite, first 'v003'"),
    ],
)
def test_a_file_spoilt_after_it_was_written_is_an_error_too(folder, name, row, value, message):
    with h5py.File(folder / "flow.h5", "a") as h5:
        h5[name][row] = value
    with pytest.raises(ScoresError, match=message):
        run(folder)


def test_weights_found_on_one_split_are_applied_to_another(folder):
    run(folder, weights_out=folder / "weights.csv")
    table = pd.read_csv(folder / "weights.csv")
    assert set(table["fold"]) == {"all", "0", "1", "2", "3", "4"}
    assert set(table["fusion"]) == {"all", "motion"} and len(table) == 6 * 4
    motion = table[(table["fusion"] == "motion") & (table["member"] == "flow")]
    assert (motion["share"] > 0.6).all()
    applied = run(folder, weights=folder / "weights.csv").scores
    fitted = read_weights(folder / "weights.csv", SEARCHED)
    assert fitted.members[1].fusion.name == "motion" and fitted.temperatures[0] != 1
    in_sample = applied.argmax(axis=1) == LABELS
    assert in_sample.mean() > 0.7


def test_a_fusion_that_is_used_twice_is_written_once_and_read_back(folder):
    motion = Fusion("motion", ("flow", "noise"), "greedy")
    twice = Fusion("all", (motion, Fusion("both", (motion, "frame"), "convex")), "convex")
    run(folder, twice, weights_out=folder / "weights.csv")
    assert len(pd.read_csv(folder / "weights.csv")) == 6 * (2 + 2 + 2)
    assert len(run(folder, twice, weights=folder / "weights.csv")) == N


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        (Fusion("all", ("frame", "flow"), "greedy"), "found with method 'convex', not 'greedy'"),
        (Fusion("all", ("frame", "flow"), "convex", of="logits"), "found with of 'scores', not 'logits'"),
        (
            Fusion("all", ("frame", "flow"), "convex", calibrate=True),
            "found with calibrate 'false', not 'true'",
        ),
    ],
)
def test_weights_found_in_another_way_are_an_error(folder, fusion, message):
    run(folder, Fusion("all", ("frame", "flow"), "convex"), weights_out=folder / "weights.csv")
    with pytest.raises(ScoresError, match=f"weights.csv: weights of all were {message}. Delete it"):
        run(folder, fusion, weights=folder / "weights.csv")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weight", "x", "weight 'x' is no finite number"),
        ("temperature", "inf", "temperature 'inf' is no finite number"),
        ("temperature", "0", "weights of all must be >= 0 and not all 0, temperatures above 0"),
        ("weight", "-1", "weights of all must be >= 0"),
    ],
)
def test_a_bad_value_among_the_weights_is_an_error(folder, column, value, message):
    both = Fusion("all", ("frame", "flow"), "convex")
    run(folder, both, weights_out=folder / "weights.csv")
    table = pd.read_csv(folder / "weights.csv", dtype=str)
    table.loc[0, column] = value
    table.to_csv(folder / "weights.csv", index=False)
    with pytest.raises(ScoresError, match=f"weights.csv: {message}"):
        run(folder, both, weights=folder / "weights.csv")
    (folder / "weights.csv").write_text("")
    with pytest.raises(ScoresError, match=r"weights.csv: not a table of weights"):
        run(folder, both, weights=folder / "weights.csv")


def test_weights_of_another_fusion_are_an_error(folder):
    run(folder, weights_out=folder / "weights.csv")
    other = Fusion("all", ("frame", "noise"), "convex")
    with pytest.raises(
        ScoresError, match=r"weights.csv: weights of all are for frame, motion, not for frame, noise"
    ):
        run(folder, other, weights=folder / "weights.csv")
    with pytest.raises(ScoresError, match=r"gone.csv: no such weights"):
        run(folder, weights=folder / "gone.csv")
    (folder / "weights.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ScoresError, match=r"weights.csv: columns a, b instead of fold, fusion"):
        run(folder, weights=folder / "weights.csv")


def test_the_study_tells_what_each_stream_brings(folder):
    run(folder, study_out=folder / "study.csv")
    study = pd.read_csv(folder / "study.csv").set_index("streams")
    assert list(study.index) == [
        "all, cross-fitted",
        "all, in sample",
        "without frame",
        "without flow",
        "without noise",
    ]
    assert study.loc["without frame", "brings_low"] > 0
    noise = study.loc["without noise"]
    assert noise["brings_low"] <= noise["brings"] <= noise["brings_high"] < 5


def test_the_study_goes_on_where_only_streams_of_weight_zero_are_left(folder):
    run(folder, Fusion("all", ("frame", "noise"), weights=(1, 0)), study_out=folder / "study.csv")
    study = pd.read_csv(folder / "study.csv").set_index("streams")
    noise = 100 * (STREAMS["noise"].argmax(axis=1) == LABELS).mean()
    assert study.loc["without frame", "Top1"] == pytest.approx(noise, abs=0.01)
    assert study.loc["without noise", "brings"] == 0


def test_a_fusion_without_its_score_file_or_labels_is_an_error(folder):
    with pytest.raises(ScoresError, match=r"fusion x: no score file was given for sound"):
        run(folder, Fusion("x", ("frame", "sound")))
    table = pd.read_csv(folder / "validation.csv")
    table["class_index"] = -1
    table.to_csv(folder / "validation.csv", index=False)
    with pytest.raises(ScoresError, match=r"validation.csv: 300 of 300 videos have no label"):
        run(folder)
    assert len(run(folder, Fusion("x", ("frame", "flow")))) == N  # equal weights need no labels


def test_fewer_videos_than_folds_is_an_error(folder):
    with pytest.raises(
        ScoresError, match=r"validation.csv: 300 videos cannot be dealt into 301 folds; lower num_folds"
    ):
        run(folder, num_folds=301)


def test_a_network_is_counted_once_however_many_members_use_it(folder):
    costs = {
        "frame": {"parameters": 100, "gflops_per_clip": 5},
        "flow": {"parameters": 200, "gflops_per_clip": 6},
        "tcp": {"parameters": 7, "gflops_per_clip": 0},
        "joint": {"parameters": 13, "gflops_per_clip": 0},
    }
    members = {"ap": ("frame",), "tcp": ("frame", "tcp"), "joint": ("frame", "flow", "joint"), "outside": ()}
    for name, behind in members.items():
        write_scores(
            folder / f"{name}.h5",
            IDS,
            STREAMS["flow"],
            CLASSES,
            provenance={},
            networks={key: costs[key] for key in behind},
        )

    def cost(*names):
        files = {name: folder / f"{name}.h5" for name in names}
        fuse.run(files, folder / "validation.csv", folder / "x.h5", fusion=Fusion("x", names))
        return read_scores(folder / "x.h5").cost

    assert cost("ap", "tcp") == {"parameters": 107, "gflops_per_clip": 5}
    assert cost("tcp", "joint") == {"parameters": 320, "gflops_per_clip": 11}
    assert cost("ap", "joint") == {"parameters": 313, "gflops_per_clip": 11}
    assert cost("tcp", "outside") == {}
    assert cost("tcp", "noise") == {"parameters": 117}  # nobody stated the GFLOPs of noise


def test_a_fusion_is_read_from_json(folder):
    text = json.dumps(
        {"name": "a", "members": ["x", {"name": "b", "members": ["y"], "method": "stack"}], "weights": [1, 2]}
    )
    twice = {"name": "b", "members": ["y"]}
    assert Fusion.from_json(json.dumps({"name": "a", "members": [twice, "y", twice]})).streams() == ["y"]
    fusion = Fusion.from_json(text)
    assert fusion.weights == (1, 2) and fusion.streams() == ["x", "y"] and fusion.learns
    assert fuse.described(fusion)["members"][1]["method"] == "stack"
    for bad in (
        "{",
        "[]",
        '{"name": "a"}',
        '{"name": "a", "members": ["x"], "method": "magic"}',
        '{"name": "a", "members": ["x"], "weights": [1, 2]}',
        '{"name": "a", "members": ["x"], "weights": [1], "method": "convex"}',
        '{"name": "a", "members": ["x", "y"], "weights": [0, 0]}',
        '{"name": "a", "members": ["x", "y"], "weights": [2, -1]}',
        '{"name": "a", "members": ["x", "y"], "weights": [2, NaN]}',
        '{"name": "a", "members": ["x", "y"], "weights": [2, "1"]}',
        '{"name": "a", "members": ["x", {"name": "a", "members": ["y"]}]}',
        '{"name": "a", "members": ["b", {"name": "b", "members": ["y"]}]}',
        '{"name": "a", "members": [{"name": "b", "members": ["x"]}, {"name": "b", "members": ["y"]}]}',
    ):
        with pytest.raises(InputError, match="--fusion: not a fusion"):
            Fusion.from_json(bad)


def board(folder, **options):
    rows = [Row(name, name.capitalize()) for name in STREAMS]
    files = [folder / f"{name}.h5" for name in STREAMS]
    evaluate.run(files, folder / "validation.csv", folder / "leaderboard.csv", rows=rows, **options)
    return pd.read_csv(folder / "leaderboard.csv", dtype=str)


def test_unreadable_videos_count_as_wrong_in_every_row(folder):
    before = board(folder)
    (folder / "rejected.csv").write_text(
        "video_id,path,split,verdict,reason\nx,x.mp4,validation,truncated,\ny,y.mp4,train,empty,\n"
    )
    after = board(folder, rejected=folder / "rejected.csv")
    assert after["videos"].tolist() == ["301"] * 3 and after["missing"].tolist() == ["1"] * 3
    expected = [
        f"{float(top1) * 300 / 301:.1f}"
        for top1 in [100 * (STREAMS[n].argmax(1) == LABELS).mean() for n in STREAMS]
    ]
    assert after["Top1"].tolist() == expected
    assert before["Top1"].tolist() != expected


def test_rows_stand_in_the_given_order_with_intervals_around_them(folder):
    found = board(folder)
    assert found["Input"].tolist() == ["Frame", "Flow", "Noise"]
    for _, row in found.iterrows():
        low, high = map(float, row["top1_interval"].split("-"))
        assert low < float(row["Top1"]) < high
        assert float(row["avg_error"]) == pytest.approx(
            100 - (float(row["Top1"]) + float(row["Top5"])) / 2, abs=0.1
        )


def test_the_printed_table_sums_gpu_hours_over_the_streams_behind_a_row(folder):
    rows = [Row("frame", "Frame", streams=("a", "b")), Row("flow", "Flow", streams=("b", "gone"))]
    files = [folder / "frame.h5", folder / "flow.h5"]
    evaluate.run(files, folder / "validation.csv", folder / "l.csv", rows=rows)
    before = (folder / "l.csv").read_bytes()
    (folder / "cost.csv").write_text(
        "stage,stream,gpu_hours\ntrain,a,1.5\ndump,a,0.5\nfit_aggregator,a,8\ntrain,b,2\nmanifest,,0\n"
    )
    lines = printed(folder / "l.csv").splitlines()
    assert lines[0].split()[-1] == "gpu_hours" and lines[1].split()[-1] == "4"
    assert lines[2].split()[-1] != "2"
    assert (folder / "l.csv").read_bytes() == before


def test_figures_by_class_and_confusions_add_up(folder):
    board(folder, per_class=folder / "per_class.csv", confusions=folder / "confusions.csv")
    by_class = pd.read_csv(folder / "per_class.csv")
    assert len(by_class) == 3 * K and by_class.groupby("row")["videos"].sum().tolist() == [N] * 3
    mistakes = pd.read_csv(folder / "confusions.csv")
    wrong = (STREAMS["frame"].argmax(axis=1) != LABELS).sum()
    assert mistakes[mistakes["row"] == "frame"]["videos"].sum() == wrong
    assert (mistakes["class"] != mistakes["predicted"]).all()


def test_every_row_needs_a_file_and_the_same_classes(folder):
    with pytest.raises(InputError, match="--rows: 1 rows for 2 score files"):
        evaluate.run(
            [folder / "frame.h5"] * 2, folder / "validation.csv", folder / "l.csv", rows=[Row("x", "x")]
        )
    write_scores(folder / "flow.h5", IDS, STREAMS["flow"], CLASSES[::-1], provenance={})
    with pytest.raises(ScoresError, match=r"flow.h5: the same classes in another order"):
        board(folder)
    with pytest.raises(InputError, match="--rows"):
        rows_from_json("[{}]")


def test_the_table_is_printed_plain_and_as_markdown(folder):
    board(folder)
    assert "Frame" in printed(folder / "leaderboard.csv")
    lines = printed(folder / "leaderboard.csv", markdown=True).splitlines()
    assert lines[0].startswith("| Input | Backbone |") and lines[1].startswith("| --- |") and len(lines) == 5
    with pytest.raises(InputError, match=r"gone.csv: no such leaderboard"):
        printed(folder / "gone.csv")
    (folder / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty.csv: not a leaderboard"):
        printed(folder / "empty.csv")


def test_comparing_a_stream_with_itself_and_with_noise(folder):
    same = compare.run(folder / "frame.h5", folder / "frame.h5", folder / "validation.csv")
    assert "+0.00 [+0.00, +0.00]" in same and "p = 1" in same
    better = compare.run(folder / "frame.h5", folder / "noise.h5", folder / "validation.csv")
    top1 = next(line for line in better.splitlines() if line.startswith("top-1"))
    low = float(top1.split("[")[1].split(",")[0])
    assert low > 0
