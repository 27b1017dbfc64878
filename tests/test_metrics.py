"""Metrics equal scikit-learn's and the obvious loop: with ties, missing videos and absent classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from lgdnet import metrics
from lgdnet.softmax import log_mean, softmax

CASES = settings(max_examples=900, deadline=None, derandomize=True)  # with FEWER: 2,100 cases
FEWER = settings(CASES, max_examples=300)


@st.composite
def cases(draw, min_classes=1):
    """Scores on a coarse grid, so that ties are common; labels that leave classes out; missing videos."""
    N, K = draw(st.integers(1, 30)), draw(st.integers(min_classes, 9))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = generator.integers(0, draw(st.sampled_from([1, 2, 4, 1000])) + 1, (N, K)).astype(np.float32)
    labels = generator.integers(0, draw(st.integers(1, K)), N)
    present = generator.random(N) >= draw(st.sampled_from([0, 0.3, 1]))
    return scores, labels, present


def naive_hit(row, label, k):
    order = sorted(range(len(row)), key=lambda c: (row[c], c), reverse=True)
    return label in order[:k]


@CASES
@given(cases(), st.integers(1, 7))
def test_accuracies_equal_the_obvious_loop(case, k):
    scores, labels, present = case
    right = [bool(p) and naive_hit(s, y, k) for s, y, p in zip(scores, labels, present, strict=True)]
    assert metrics.hits(scores, labels, k, present).tolist() == right
    assert metrics.top_k_accuracy(scores, labels, k, present) == pytest.approx(np.mean(right))
    first = [bool(p) and naive_hit(s, y, 1) for s, y, p in zip(scores, labels, present, strict=True)]
    five = [bool(p) and naive_hit(s, y, 5) for s, y, p in zip(scores, labels, present, strict=True)]
    error = ((1 - np.mean(first)) + (1 - np.mean(five))) / 2
    assert metrics.average_error(scores, labels, present) == pytest.approx(error)
    by_class = [
        np.mean([f for f, y in zip(first, labels, strict=True) if y == c]) for c in sorted(set(labels))
    ]
    assert metrics.mean_class_accuracy(scores, labels, present) == pytest.approx(np.mean(by_class))


@FEWER
@given(cases(min_classes=3), st.integers(1, 7))
def test_accuracies_equal_scikit_learn(case, k):
    scores, labels, _ = case
    K = scores.shape[1]
    if k < K:
        expected = sk.top_k_accuracy_score(labels, scores, k=k, labels=np.arange(K))
        assert metrics.top_k_accuracy(scores, labels, k) == pytest.approx(expected)
    predicted = metrics.predictions(scores)
    assert metrics.top_k_accuracy(scores, labels, 1) == pytest.approx(sk.accuracy_score(labels, predicted))
    recall = sk.recall_score(labels, predicted, labels=np.unique(labels), average="macro")
    assert metrics.mean_class_accuracy(scores, labels) == pytest.approx(recall)
    counts = metrics.confusion(predicted, labels, K)
    assert (counts == sk.confusion_matrix(labels, predicted, labels=np.arange(K))).all()


@CASES
@given(cases())
def test_the_printed_order_and_the_counted_hits_agree(case):
    scores, labels, _ = case
    for k in range(1, scores.shape[1] + 1):
        listed = (metrics.top_classes(scores, k) == labels[:, None]).any(axis=1)
        assert (listed == metrics.hits(scores, labels, k)).all()


def test_a_class_without_videos_has_no_accuracy_and_does_not_lower_the_mean():
    accuracy = metrics.per_class_accuracy(np.array([True, False]), np.array([0, 2]), 3)
    assert accuracy[0] == 1 and np.isnan(accuracy[1]) and accuracy[2] == 0


def test_calibration_error_of_known_cases():
    labels = np.array([0, 1] * 50)
    half = np.tile([0.9, 0.1], (100, 1))  # says 90 %, is right half of the time
    assert metrics.expected_calibration_error(half, labels) == pytest.approx(0.4)
    sure = np.eye(2)[labels]
    assert metrics.expected_calibration_error(sure, labels) == 0
    present = labels == 0
    assert metrics.expected_calibration_error(half, labels, present) == pytest.approx(0.1)


def test_an_interval_holds_the_truth_in_95_of_100_worlds():
    generator, inside = np.random.default_rng(0), 0
    for _ in range(400):
        hit = generator.random(200) < 0.7
        low, high = metrics.bootstrap_interval(hit[:, None], generator, num_resamples=400)
        inside += low[0] <= 0.7 <= high[0]
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize("N", [1, 20, 179])
def test_where_all_or_none_are_right_the_interval_is_the_exact_one(N):
    hit = np.column_stack([np.ones(N, bool), np.zeros(N, bool)])
    low, high = metrics.accuracy_interval(hit, np.random.default_rng(0))
    for i, right in enumerate((N, 0)):
        exact = binomtest(right, N).proportion_ci(0.95, method="exact")
        assert (low[i], high[i]) == pytest.approx((exact.low, exact.high))


def test_between_all_and_none_the_interval_is_the_bootstrap():
    hit = np.arange(50)[:, None] > [0, 20]
    of_hits = metrics.accuracy_interval(hit, np.random.default_rng(0))
    np.testing.assert_array_equal(of_hits, metrics.bootstrap_interval(hit, np.random.default_rng(0)))


def test_the_grouped_draw_equals_resampling_videos_one_by_one():
    generator = np.random.default_rng(0)
    hit = generator.random((300, 2)) < [0.3, 0.8]
    resampled = [hit[generator.integers(300, size=300)].mean(axis=0) for _ in range(4000)]
    expected = np.percentile(resampled, [2.5, 97.5], axis=0)
    found = metrics.bootstrap_interval(hit, generator, num_resamples=4000)
    np.testing.assert_allclose(found, expected, atol=0.006)


def test_a_paired_test_sees_what_two_intervals_cannot():
    generator = np.random.default_rng(0)
    b = generator.random(1000) < 0.7
    a = b | (np.arange(1000) < 40)  # the same videos and some more
    test = metrics.paired_test(a, b, np.random.default_rng(1))
    assert test.difference == pytest.approx(a.mean() - b.mean())
    assert test.only_b == 0 and test.only_a == (a & ~b).sum()
    assert test.low > 0 and test.p_value < 0.05
    assert metrics.paired_test(b, b, generator).p_value == 1.0


def test_mcnemar_is_the_exact_binomial_of_the_disagreements():
    a = np.array([True] * 9 + [False] * 1 + [True] * 5)
    b = np.array([False] * 9 + [True] * 1 + [True] * 5)
    assert metrics.paired_test(a, b, np.random.default_rng(0)).p_value == pytest.approx(2 * (1 + 10) / 2**10)


def test_the_log_of_a_mean_is_what_it_says_and_minus_infinity_where_nothing_counts():
    generator = np.random.default_rng(0)
    scores = softmax(generator.normal(size=(3, 20, 5)))
    weights = generator.random((3, 20)) * (generator.random((3, 20)) < 0.5)
    found = log_mean(np.log(scores), weights)
    expected = (weights[:, :, None] * scores).sum(axis=0)
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
    assert (np.isneginf(found) == (expected == 0)).all() and (expected == 0).any()
    far = log_mean(np.array([[[-2000.0, 0]], [[-2001.0, 0]]]), np.full((2, 1), 0.5))
    np.testing.assert_allclose(far, [[-2000 + np.log((1 + np.exp(-1)) / 2), 0]], atol=1e-4)
