"""Fusion: weights found on some videos are judged on others, and missing streams are spread over the rest."""

import numpy as np
import pytest

from lgdnet import metrics
from lgdnet.fusion import METHODS, Fusion, Stream, cross_fit, deal_folds, fit, predict
from lgdnet.fusion.search import Candidates, best_temperature, most_likely_mixture
from lgdnet.scores import softmax

N, K = 400, 6
LABELS = np.random.default_rng(0).integers(0, K, N)
IDS = np.array([f"v{i}" for i in range(N)])
ROWS = np.arange(N)
FOLDS = deal_folds(IDS, LABELS)
ALL = np.ones(N, bool)


def noise(seed, num_videos=N, num_classes=K):
    return Stream(
        softmax(np.random.default_rng(seed).normal(size=(num_videos, num_classes))), np.ones(num_videos, bool)
    )


def signal(seed, strength, scale=1.0):
    logits = np.random.default_rng(seed).normal(size=(N, K))
    logits[np.arange(N), LABELS] += strength
    return Stream(softmax(scale * logits), ALL)


STREAMS = {"good": signal(1, 2.0), "fair": signal(2, 1.0), "noise": noise(3)}


def top1(scores, labels=LABELS):
    return metrics.top_k_accuracy(scores, labels, 1)


def test_given_weights_are_the_weighted_mean_of_scores():
    fusion = Fusion("two", ("good", "fair"), weights=(3, 1))
    fused, present = predict(fit(fusion, STREAMS, LABELS, ROWS), STREAMS, ROWS)
    np.testing.assert_allclose(
        np.exp(fused), (3 * STREAMS["good"].scores + STREAMS["fair"].scores) / 4, atol=1e-6
    )
    assert present.all()


def test_averaging_logits_is_the_geometric_mean_of_scores():
    fusion = Fusion("two", ("good", "fair"), weights=(2, 1), of="logits")
    fused, _ = predict(fit(fusion, STREAMS, LABELS, ROWS), STREAMS, ROWS)
    product = (STREAMS["good"].scores ** 2 * STREAMS["fair"].scores) ** (1 / 3)
    np.testing.assert_allclose(np.exp(fused), product / product.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("of", ["scores", "logits"])
def test_a_missing_stream_leaves_its_weight_to_the_others(of):
    heard = np.arange(N) % 2 == 0
    streams = {"good": STREAMS["good"], "audio": Stream(STREAMS["fair"].scores * heard[:, None], heard)}
    fused, present = predict(fit(Fusion("x", ("good", "audio"), of=of), streams, LABELS, ROWS), streams, ROWS)
    assert present.all()
    np.testing.assert_allclose(np.exp(fused)[~heard], STREAMS["good"].scores[~heard], rtol=1e-4)


@pytest.mark.parametrize("of", ["scores", "logits"])
def test_a_stream_of_weight_zero_speaks_for_the_videos_that_only_it_has(of):
    seen = np.arange(N) % 2 == 0
    streams = {"good": Stream(STREAMS["good"].scores * seen[:, None], seen), "fair": STREAMS["fair"]}
    fusion = Fusion("x", ("good", "fair"), weights=(1, 0), of=of)
    fused, present = predict(fit(fusion, streams, LABELS, ROWS), streams, ROWS)
    assert present.all()
    np.testing.assert_allclose(np.exp(fused)[seen], STREAMS["good"].scores[seen], rtol=1e-4)
    np.testing.assert_allclose(np.exp(fused)[~seen], STREAMS["fair"].scores[~seen], rtol=1e-4)


@pytest.mark.parametrize("of", ["scores", "logits"])
def test_a_search_judges_weights_as_they_will_be_applied(of):
    generator = np.random.default_rng(0)
    present = generator.random((3, N)) < 0.5
    present[0, ~present.any(axis=0)] = True
    values = softmax(generator.normal(size=(3, N, K))) * present[:, :, None]
    for weights in (np.array([1.0, 0, 0]), np.array([0.5, 0.5, 0]), np.array([0.2, 0.3, 0.5])):
        fused = Candidates(values, present, of).fused(weights)
        for n in range(N):
            here = present[:, n] & (weights > 0) if (weights * present[:, n]).any() else present[:, n]
            own = np.where(here, weights if (weights * here).any() else 1, 0)
            np.testing.assert_allclose(fused[n], own @ values[:, n] / own.sum(), rtol=1e-5)


@pytest.mark.parametrize("of", ["scores", "logits"])
@pytest.mark.parametrize("inside", [True, False], ids=["inner", "outer"])
def test_logits_of_any_offset_and_far_beyond_underflow_keep_their_order(of, inside):
    logits = np.random.default_rng(0).normal(size=(N, K)).astype(np.float32) * 300
    streams = {"loud": Stream(logits + 1000, ALL, is_log=True), "fair": STREAMS["fair"]}
    fusion = Fusion("x", ("loud", "fair"), weights=(1, 0), of=of)
    if inside:
        fusion = Fusion("y", (fusion,))
    fused, _ = predict(fit(fusion, streams, LABELS, ROWS), streams, ROWS)
    assert (metrics.top_classes(fused, K) == metrics.top_classes(logits, K)).all()
    assert np.isfinite(fused).all()


def test_probabilities_of_another_tool_keep_their_order_down_to_the_smallest():
    scores = softmax(np.random.default_rng(0).normal(size=(N, K)) * 15)
    assert scores.min() < 1e-20
    fused, _ = predict(
        fit(Fusion("x", ("s",), of="logits"), {"s": Stream(scores, ALL)}, LABELS, ROWS),
        {"s": Stream(scores, ALL)},
        ROWS,
    )
    assert (metrics.top_classes(fused, K) == metrics.top_classes(scores, K)).all()


def test_a_video_without_any_stream_is_absent_not_a_guess():
    here = np.arange(N) > 0
    streams = {name: Stream(s.scores * here[:, None], here) for name, s in STREAMS.items()}
    for method in METHODS:
        fused, present, _ = cross_fit(Fusion("x", ("good", "noise"), method), streams, LABELS, FOLDS)
        assert not present[0] and present[1:].all() and (fused[0] == 0).all()


@pytest.mark.parametrize("of", ["scores", "logits"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_beats_its_best_stream_and_drops_noise(method, of):
    fused, _, fits = cross_fit(Fusion("x", tuple(STREAMS), method, of=of), STREAMS, LABELS, FOLDS)
    assert top1(fused) > top1(STREAMS["good"].scores) > top1(STREAMS["fair"].scores)
    weights = np.mean([f.weights / f.weights.sum() for f in fits], axis=0)
    assert weights[0] > weights[1] > weights[2] and weights[2] < 0.15


@pytest.mark.parametrize("method", METHODS)
def test_on_pure_noise_cross_fitting_reports_chance_and_in_sample_search_does_not(method):
    num_videos, num_classes, reported, flattered = 300, 5, [], []
    for world in range(6):
        labels = np.random.default_rng(world).integers(0, num_classes, num_videos)
        streams = {f"s{i}": noise(100 * world + i, num_videos, num_classes) for i in range(8)}
        fusion = Fusion("x", tuple(streams), method, of="logits")
        rows = np.arange(num_videos)
        folds = deal_folds(rows.astype(str), labels)
        honest, _, _ = cross_fit(fusion, streams, labels, folds)
        in_sample, _ = predict(fit(fusion, streams, labels, rows), streams, rows)
        reported.append(metrics.hits(honest, labels, 1))
        flattered.append(metrics.hits(in_sample, labels, 1))
    low, high = metrics.bootstrap_interval(np.concatenate(reported)[:, None], np.random.default_rng(0))
    assert low[0] <= 1 / num_classes <= high[0]
    low, _ = metrics.bootstrap_interval(np.concatenate(flattered)[:, None], np.random.default_rng(0))
    assert low[0] > 1 / num_classes


def test_no_label_of_a_fold_reaches_its_own_scores_even_through_an_inner_fusion():
    inner = Fusion("inner", ("fair", "noise"), "convex", calibrate=True)
    fusion = Fusion("outer", ("good", inner), "greedy", calibrate=True)
    before, _, _ = cross_fit(fusion, STREAMS, LABELS, FOLDS)
    held_out = FOLDS == 2
    lied = np.where(held_out, (LABELS + 1) % K, LABELS)
    after, _, _ = cross_fit(fusion, STREAMS, lied, FOLDS)
    assert (before[held_out] == after[held_out]).all()
    assert (before[~held_out] != after[~held_out]).any()


def test_a_fusion_of_fusions_is_the_fusion_of_what_they_say():
    inner = Fusion("inner", ("good", "fair"), weights=(1, 3))
    outer = Fusion("outer", (inner, "noise"), weights=(1, 1))
    fused, _ = predict(fit(outer, STREAMS, LABELS, ROWS), STREAMS, ROWS)
    expected = (STREAMS["good"].scores + 3 * STREAMS["fair"].scores) / 8 + STREAMS["noise"].scores / 2
    np.testing.assert_allclose(np.exp(fused), expected, atol=1e-6)
    assert outer.streams() == ["good", "fair", "noise"]
    assert outer.without("fair").streams() == ["good", "noise"]
    assert outer.without("fair").members[0].weights == (1,)
    assert Fusion("one", ("good",)).without("good") is None


def test_only_what_looks_at_labels_needs_cross_fitting():
    assert not Fusion("x", ("good",)).learns
    assert Fusion("x", ("good",), calibrate=True).learns
    assert Fusion("x", (Fusion("y", ("good",), "convex"), "fair")).learns


def test_temperature_finds_the_scale_that_was_put_in():
    logits = np.random.default_rng(0).normal(size=(4000, K)).astype(np.float32) * 2
    p = softmax(logits)
    labels = (p.cumsum(axis=1) > np.random.default_rng(1).random((4000, 1))).argmax(axis=1)
    for scale in (0.25, 1.0, 5.0):
        assert best_temperature(np.log(softmax(scale * logits) + 1e-30), labels) == pytest.approx(
            scale, rel=0.1
        )
    assert best_temperature(np.zeros((0, K)), np.zeros(0, int)) == 1.0


def test_calibration_lowers_the_calibration_error_of_an_overconfident_stream():
    streams = {"loud": signal(5, 1.0, scale=4.0)}
    fused, _, _ = cross_fit(Fusion("x", ("loud",), calibrate=True), streams, LABELS, FOLDS)
    error = metrics.expected_calibration_error
    assert error(np.exp(fused), LABELS) < 0.5 * error(streams["loud"].scores, LABELS)


@pytest.mark.parametrize("lacking", [0.0, 0.7])
def test_the_mixture_by_em_is_the_best_point_of_a_fine_grid(lacking):
    present = np.ones((2, N), bool)
    present[1] = np.random.default_rng(4).random(N) >= lacking
    values = np.stack([signal(8, 1.2).scores, signal(9, 1.0).scores]) * present[:, :, None]
    own = values[:, np.arange(N), LABELS][:, :, None]
    weights = most_likely_mixture(Candidates(own, present), num_steps=400)
    grid = np.linspace(0.001, 0.999, 999)

    def likelihood(w):
        shared = np.array([w, 1 - w])[:, None] * present
        return np.log((shared * own[:, :, 0]).sum(axis=0) / shared.sum(axis=0)).sum()

    assert weights[0] == pytest.approx(grid[np.argmax([likelihood(w) for w in grid])], abs=0.01)


def test_folds_depend_on_names_alone_and_spread_every_class():
    order = np.random.default_rng(5).permutation(N)
    assert (deal_folds(IDS[order], LABELS[order]) == FOLDS[order]).all()
    counts = np.array([np.bincount(FOLDS[c == LABELS], minlength=5) for c in range(K)])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert (deal_folds(IDS, LABELS, seed=1) != FOLDS).any()
    with pytest.raises(ValueError, match="3 videos cannot be dealt into 5 folds"):
        deal_folds(IDS[:3], LABELS[:3])
