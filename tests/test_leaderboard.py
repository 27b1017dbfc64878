"""Each figure of a row is what its name says."""

import numpy as np
import pytest

from lgdnet import metrics
from lgdnet.leaderboard import Row, measure, printed, write_leaderboard, write_per_class
from lgdnet.softmax import softmax

N, K = 400, 8
LABELS = np.random.default_rng(0).integers(0, K, N)
LOGITS = 2 * np.random.default_rng(1).normal(size=(N, K)) + 2 * np.eye(K)[LABELS]
ALL = np.ones(N, bool)
CLASSES = [f"class {k}" for k in range(K)]


def ranks():
    return (LOGITS[np.arange(N), LABELS][:, None] < LOGITS).sum(axis=1)


def test_figures_of_the_best_five_are_not_those_of_the_best(tmp_path):
    found = measure(Row("x", "X"), LOGITS, LABELS, ALL, is_log=True)
    top1, top5 = ranks() < 1, ranks() < 5
    assert (found.top1, found.top5) == pytest.approx((top1.mean(), top5.mean()))
    for hit, interval in ((top1, found.top1_interval), (top5, found.top5_interval)):
        spread = 1.96 * np.sqrt(hit.mean() * (1 - hit.mean()) / N)
        assert interval == pytest.approx((hit.mean() - spread, hit.mean() + spread), abs=0.01)
    for hit, by_class in ((top1, found.class_top1), (top5, found.class_top5)):
        np.testing.assert_allclose(by_class, [hit[k == LABELS].mean() for k in range(K)])
    write_per_class(tmp_path / "per_class.csv", [found], CLASSES)
    line = (tmp_path / "per_class.csv").read_text().splitlines()[1].split(",")
    of_first = [100 * hit[LABELS == 0].mean() for hit in (top1, top5)]
    assert [float(cell) for cell in line[3:]] == pytest.approx(of_first, abs=0.051)


def test_a_row_that_is_always_right_may_still_be_wrong_on_other_videos():
    found = measure(Row("x", "X"), np.eye(K)[LABELS], LABELS, ALL)
    assert found.top1 == 1 and found.top1_interval == pytest.approx((0.025 ** (1 / N), 1))


def test_logits_and_their_probabilities_are_calibrated_alike():
    scores = softmax(LOGITS)
    of_scores = measure(Row("x", "X"), scores, LABELS, ALL)
    of_logits = measure(Row("x", "X"), LOGITS + 7, LABELS, ALL, is_log=True)
    expected = metrics.expected_calibration_error(scores, LABELS)
    assert of_logits.calibration == pytest.approx(of_scores.calibration) == pytest.approx(expected)


def test_figures_by_class_leave_out_what_has_no_known_class():
    plain = measure(Row("x", "X"), LOGITS, LABELS, ALL, is_log=True)
    rejected = measure(Row("x", "X"), LOGITS, LABELS, ALL, is_log=True, num_rejected=100)
    assert rejected.top1 == pytest.approx(plain.top1 * 0.8) and rejected.num_missing == 100
    assert rejected.mean_class == plain.mean_class and (rejected.class_counts == plain.class_counts).all()


def test_a_bar_in_a_name_does_not_break_the_markdown_table(tmp_path):
    write_leaderboard(tmp_path / "l.csv", [measure(Row("x", "a|b"), LOGITS, LABELS, ALL, is_log=True)])
    line = printed(tmp_path / "l.csv", markdown=True).splitlines()[2]
    assert line.startswith(r"| a\|b | - |")
