"""Means and deviations over folds."""

import pandas as pd
import pytest

from lgdnet.errors import InputError
from lgdnet.stages import folds

HEADER = "Input,Backbone,Clip,Aggregation,Top1,Top5,row"


def board(path, *lines):
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def test_rows_become_means_with_their_deviations(tmp_path):
    boards = [
        board(
            tmp_path / f"{i}.csv",
            f"Frame,net,16,AP,{top1},90.0,frame16/ap",
            f"Flow,net,16,AP,{top1 + 1},80.0,flow16/ap",
        )
        for i, top1 in enumerate((50.0, 54.0, 58.0))
    ]
    folds.run(boards, tmp_path / "folds.csv")
    table = pd.read_csv(tmp_path / "folds.csv")
    assert list(table.columns[:9]) == [
        "row", "Input", "Backbone", "Clip", "Aggregation", "Top1", "Top1 std", "Top5", "Top5 std",
    ]  # fmt: skip
    assert table[["Input", "Top1", "Top1 std", "Top5 std", "folds"]].values.tolist() == [
        ["Frame", 54.0, 4.0, 0.0, 3], ["Flow", 55.0, 4.0, 0.0, 3],
    ]  # fmt: skip


def test_folds_that_do_not_belong_together(tmp_path):
    one, other = board(tmp_path / "a.csv", "F,n,16,AP,1,2,x"), board(tmp_path / "b.csv", "F,n,16,AP,1,2,y")
    with pytest.raises(InputError, match=r"b\.csv: rows y, but .*a\.csv has x"):
        folds.run([one, other], tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"c\.csv: no such leaderboard"):
        folds.run([tmp_path / "c.csv"], tmp_path / "out.csv")
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"d\.csv: no column 'row'"):
        folds.run([tmp_path / "d.csv"], tmp_path / "out.csv")


@pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
def test_challenges_with_folds_are_whole_challenge_files(name):
    from pathlib import Path

    from lgdnet.settings import read_challenge

    challenge = read_challenge(Path(__file__).parents[2] / f"challenges/{name}.yaml")
    assert challenge.dataset.format == name and challenge.media.enabled
