"""Fusions, joint networks and outside scores in a challenge file: what they name must exist."""

import pytest

from lgdnet.settings import (
    SettingsError,
    challenge_of,
    fusion_leaves,
    fusion_tree,
    leaderboard_rows,
    submitted_row,
)
from lgdnet.settings import row_of as row

BASE = {
    "challenge": "x",
    "dataset": {"annotations": {"train": "a.csv", "validation": "b.csv"}},
    "streams": {"frame16": {"aggregate": ["average_pool", "tcp"]}, "audio": {"modality": "audio"}},
}
FULL = {
    **BASE,
    "joint": {"together": {"streams": ["frame16", "audio"]}},
    "outside": {"senet": {"files": {"validation": "s.npz"}, "input": "Frame", "backbone": "SENet"}},
    "fusions": {
        "two": {"members": ["frame16/tcp", "audio/average_pool"], "method": "convex"},
        "all": {"members": ["two", "together", "senet", "frame16/tcp"], "input": "Ensemble"},
    },
}


def read(**changes):
    return challenge_of({**FULL, **changes}, source="c.yaml")


def test_without_a_list_of_rows_everything_with_scores_is_one():
    names = [found.name for found in leaderboard_rows(read())]
    assert names == [
        "streams/frame16/average_pool", "streams/frame16/tcp", "streams/audio/average_pool",
        "joint/together", "outside/senet", "fusions/two", "fusions/all",
    ]  # fmt: skip
    assert submitted_row(read()).name == "fusions/all"


def test_rows_can_be_chosen_and_put_in_order():
    chosen = read(evaluate={"rows": ["all", "frame16/tcp"], "submit": "two"})
    assert [found.name for found in leaderboard_rows(chosen)] == ["fusions/all", "streams/frame16/tcp"]
    assert submitted_row(chosen).name == "fusions/two"
    words = row(chosen, "senet")
    assert (words.input, words.backbone) == ("Frame", "SENet")
    assert row(chosen, "together").aggregation == "TCP" and row(chosen, "two").input == "two"


def test_a_fusion_is_handed_on_with_the_fusions_inside_it():
    tree = fusion_tree(read(), "all")
    assert tree["members"][0]["name"] == "two" and tree["members"][0]["method"] == "convex"
    assert fusion_leaves(read(), "all") == ["frame16/tcp", "audio/average_pool", "together", "senet"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint": {"j": {"streams": ["frame16", "audoi"]}}, "fusions": {}}, r"joint.j: streams: no stream is called 'audoi'; did you mean 'audio'"),
        ({"joint": {"j": {"streams": ["frame16"]}}, "fusions": {}}, r"joint: j: streams: .*at least 2"),
        ({"fusions": {"f": {"members": ["frame16/tpc"]}}}, r"fusions.f: members: nothing is called 'frame16/tpc'; did you mean 'frame16/tcp'"),
        ({"fusions": {"f": {"members": []}}}, r"fusions.f: members: .*at least 1"),
        ({"fusions": {"senet": {"members": ["frame16/tcp"]}}}, r"'senet' names two of joint, outside and fusions"),
        ({"fusions": {"f": {"members": ["g"]}, "g": {"members": ["f"]}}}, r"fusions.f: a circle of fusions, f <- g <- f"),
        ({"fusions": {"f": {"members": ["frame16/tcp"], "weights": [1, 2]}}}, r"fusions.f: weights: 2 for 1 members"),
        ({"fusions": {"f": {"members": ["frame16/tcp"], "weights": [0]}}}, r"fusions.f: weights: all are 0"),
        ({"fusions": {"f": {"members": ["frame16/tcp"], "weights": [1], "method": "greedy"}}}, r"fusions.f: weights: only with method 'given', not 'greedy'"),
        ({"evaluate": {"rows": ["tow"]}}, r"evaluate: rows: nothing is called 'tow'; did you mean 'two'"),
        ({"evaluate": {"submit": "tow"}}, r"evaluate: submit: nothing is called 'tow'"),
    ],
)  # fmt: skip
def test_a_name_that_nothing_makes_is_an_error_with_its_nearest_neighbour(changes, message):
    with pytest.raises(SettingsError, match=message):
        read(**changes)
