"""What `make demo` promises, read from the leaderboard that it left behind."""

from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).parents[2] / "results" / "sample"

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(not (RESULTS / "leaderboard.csv").exists(), reason="run `make demo` first"),
]


@pytest.fixture(scope="module")
def top1():
    """Top-1 in per cent by (input, clip, aggregation)."""
    table = pd.read_csv(RESULTS / "leaderboard.csv", dtype={"Clip": str})
    return table.set_index(["Input", "Clip", "Aggregation"])["Top1"]


@pytest.fixture(scope="module")
def by_class():
    """Top-1 in per cent by (row, class)."""
    return pd.read_csv(RESULTS / "per_class.csv").set_index(["row", "class"])["Top1"]


PAIRS = {
    "disc, stripes": "drifting",
    "speckles left, right": "speckles",
    "ring bouncing, growing": "ring \\w+$",
    "one then the other": " then ",
    "bell high, low": "bell",
}


def test_the_table_of_pairs_is_whole(by_class):
    """Printed as docs/results.md has it."""
    table = pd.read_csv(RESULTS / "leaderboard.csv")
    shares = by_class.reset_index()
    rows = shares["row"].unique()
    assert len(rows) == len(table) == 12
    print(f"\n| Input | Clip | Aggregation | {' | '.join(PAIRS)} | all | interval |")
    print("| --- | --- | --- |" + " ---: |" * (len(PAIRS) + 2))
    for row, line in zip(rows, table.itertuples(), strict=True):
        of_row = shares[shares["row"] == row]
        chosen = [of_row[of_row["class"].str.contains(kind)]["Top1"] for kind in PAIRS.values()]
        assert [len(part) for part in chosen] == [2] * len(PAIRS)
        means = " | ".join(f"{part.mean():.0f}" for part in chosen)
        print(
            f"| {line.Input} | {line.Clip} | {line.Aggregation} | {means} | {line.Top1:.0f} | {line.top1_interval} |"
        )


@pytest.mark.parametrize("aggregation", ["AP", "TCP"])
def test_every_stream_more_is_better(top1, aggregation):
    frame, two, three = (top1[kind, "16", aggregation] for kind in ("Frame", "Two-stream", "+audio"))
    print(f"{aggregation}: frame {frame}, two-stream {two}, +audio {three}")
    assert frame < two < three


def test_still_pictures_tell_textures_apart_and_not_bells(by_class):
    frame = by_class["streams/frame16/average_pool"]
    assert frame[["disc drifting", "stripes drifting"]].mean() >= 80
    assert frame[["bell ringing high", "bell ringing low"]].mean() <= 75  # chance between the two is 50


def test_flow_tells_the_direction_of_what_no_frame_shows(by_class):
    speckles = ["speckles going left", "speckles going right"]
    assert by_class["streams/flow16/average_pool"][speckles].mean() >= 90


@pytest.mark.parametrize("stream", ["frame16", "flow16"])
def test_tcp_sees_the_order_that_average_pooling_loses(by_class, stream):
    order = ["ring bouncing then growing", "ring growing then bouncing"]
    pooled, tcp = (by_class[f"streams/{stream}/{way}"][order].mean() for way in ("average_pool", "tcp"))
    print(f"{stream}: order classes, average pooling {pooled}, TCP {tcp}")
    assert tcp >= pooled + 20
