"""Aggregation: pools equal the obvious loop, and what is learned sees order in time, other streams, and gaps."""

import numpy as np
import pytest
import torch

from lgdnet import metrics
from lgdnet.aggregation import predict
from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.loader.features import FeatureSource, group_dumps
from lgdnet.models.aggregators import AGGREGATORS, TCP, MultiStreamTCP, TemporalConv, average_pool, max_pool
from lgdnet.scores import FeaturesWriter, ScoresError, read_features, read_scores
from lgdnet.settings import AggregationSettings, JointSettings
from lgdnet.stages import aggregate, fit_aggregator

torch.set_num_threads(1)
CLASSES = ["rise", "fall", "flat"]
T, D = 6, 8
QUICK = {"width": 16, "epochs": 16, "batch_size": 20, "learning_rate": 0.01, "dropout": 0.1}


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def test_pools_equal_the_obvious_loop():
    logits = np.random.default_rng(0).normal(size=(5, 4, 3))
    for n in range(5):
        scores = np.mean([softmax(view) for view in logits[n]], axis=0)
        np.testing.assert_allclose(np.exp(average_pool(logits))[n], scores, rtol=1e-5)
        np.testing.assert_allclose(
            np.exp(average_pool(logits, of="logits"))[n], softmax(logits[n].mean(0)), rtol=1e-5
        )
        np.testing.assert_allclose(np.exp(max_pool(logits))[n], softmax(logits[n].max(0)), rtol=1e-5)


@pytest.mark.parametrize(
    "pool", [average_pool, max_pool, lambda logits: average_pool(logits, of="logits")], ids=range(3)
)
def test_a_confident_network_keeps_the_order_of_all_its_classes(pool):
    logits = np.random.default_rng(0).normal(size=(50, 1, 9)).astype(np.float32) * 300
    pooled = pool(np.repeat(logits, 4, axis=1))
    assert (metrics.top_classes(pooled, 9) == metrics.top_classes(logits[:, 0], 9)).all()


def test_a_learned_aggregation_keeps_the_order_too(tmp_path):
    features = read_features([dump(tmp_path, crops=2, num_videos=9)])
    source = FeatureSource([[features]], features.video_ids, np.zeros(9, int))
    logits = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32) * 300
    network = lambda clips: torch.from_numpy(logits).repeat_interleave(2, dim=0)  # noqa: E731
    rows, scores = predict(network, source, 5, batch_size=9)
    assert (metrics.top_classes(scores, 5) == metrics.top_classes(logits, 5)).all() and len(rows) == 9
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-5)


def test_averaging_features_before_a_linear_classifier_is_averaging_its_logits():
    generator = np.random.default_rng(0)
    features, weight = generator.normal(size=(5, 4, 8)), generator.normal(size=(3, 8))
    once = np.stack([softmax(row) for row in features.mean(axis=1) @ weight.T])
    np.testing.assert_allclose(np.exp(average_pool(features @ weight.T, of="logits")), once, rtol=1e-4)


def test_the_matrix_form_of_the_temporal_convolution_is_conv1d():
    conv, x = TemporalConv(5), torch.randn(2, 7, 5)
    expected = torch.nn.functional.conv1d(x.mT, conv.weight, padding=1).mT
    torch.testing.assert_close(conv(x), expected)


def test_tcp_has_the_layers_of_the_specification():
    tcp = TCP([2048], 700)
    shapes = {name: tuple(weight.shape) for name, weight in tcp.named_parameters()}
    assert tcp.norm.running_mean.shape == (2048,) and shapes["trunk.project.weight"] == (1024, 2048)
    convolutions = [name for name, shape in shapes.items() if shape == (1024, 1024, 3)]
    assert len(convolutions) == 4 and shapes["trunk.classifier.weight"] == (700, 1024)
    assert tcp.trunk.dropout.p == 0.5


@pytest.mark.parametrize("name", [name for name, way in AGGREGATORS.items() if way.network])
def test_every_learned_aggregation_turns_clips_into_logits_and_has_gradients(name):
    widths = [D, 5] if AGGREGATORS[name].many_streams else [D]
    network = AGGREGATORS[name].network(widths, 3, width=16)
    x = torch.cat([torch.randn(4, T, sum(widths)), torch.ones(4, T, len(widths))], dim=2)
    network(x).square().sum().backward()
    assert network.eval()(x).shape == (4, 3)
    assert all(weight.grad is not None for weight in network.parameters())


def test_a_missing_stream_leaves_no_trace():
    torch.manual_seed(0)
    network = MultiStreamTCP([3, 2], 4, width=8, stream_width=8)
    x = torch.randn(6, T, 5)
    presence = torch.ones(6, T, 2)
    presence[::2, :, 1] = 0
    garbage = x.clone()
    garbage[::2, :, 3:] = 1e6
    for training in (True, False):
        torch.manual_seed(1)
        clean = network.train(training)(torch.cat([x, presence], dim=2))
        torch.manual_seed(1)
        dirty = network(torch.cat([garbage, presence], dim=2))
        torch.testing.assert_close(clean, dirty)


def test_stream_dropout_never_drops_all_and_only_drops_in_training():
    network = MultiStreamTCP([3, 2, 2], 4, stream_dropout=0.9)
    present = torch.tensor([[True, True, True], [False, True, False], [True, False, True]] * 200)
    kept = network.keep_some(present)
    assert kept.any(dim=1).all() and not (kept & ~present).any()
    share = kept[::3].float().mean().item()
    assert 1 / 3 <= share < 0.5


def dump(folder, *, seed=0, num_videos=60, checkpoint="c", crops=1, width=D, absent=(), signal=None, draw=0):
    """Classes differ only in whether a feature rises, falls or stays: their mean over time is the same."""
    generator = np.random.default_rng([seed, draw])
    ids = [f"v{i}" for i in range(num_videos)]
    path = folder / f"{checkpoint}-{draw}" / "0000.h5"
    with FeaturesWriter(
        path, video_ids=ids, num_views=T * crops, classes=CLASSES, provenance={"settings": "{}"},
        checkpoint_digest=checkpoint, dtype="float32", cost={"parameters": 5.0},
    ) as writer:  # fmt: skip
        for i, video_id in enumerate(ids):
            ramp = np.linspace(-1, 1, T) * (1, -1, 0)[i % 3]
            values = generator.normal(size=(T, crops, width)) * 0.3
            values[:, :, 0] += (ramp if signal is None else signal(i, ramp))[:, None]
            views = values.reshape(T * crops, width)
            logits = generator.normal(size=(T * crops, 3))
            if video_id in absent:
                writer.add_absent(video_id)
            else:
                writer.add(
                    video_id,
                    np.repeat(np.arange(T), crops),
                    np.tile(np.arange(crops), T),
                    views,
                    views[:, :2],
                    logits,
                )
    return path


def manifest(folder, num_videos=60):
    path = folder / "m.csv"
    path.write_text("video_id,class_index\n" + "".join(f"v{i},{i % 3}\n" for i in range(num_videos)))
    return path


def top1(path):
    found = read_scores(path)
    labels = np.array([int(v[1:]) % 3 for v in found.video_ids])
    return (found.scores.argmax(axis=1) == labels).mean()


def learn(folder, method, dumps, test_dumps, **settings):
    kind = JointSettings if AGGREGATORS[method].many_streams else AggregationSettings
    model = folder / f"{method}.safetensors"
    chosen = kind(**{**QUICK, **settings})
    fit_aggregator.run([[d] for d in dumps], manifest(folder), model, method=method, settings=chosen)
    aggregate.run([[d] for d in test_dumps], manifest(folder), folder / "s.h5", method=method, model=model)
    return top1(folder / "s.h5")


def test_tcp_sees_the_order_in_time_that_pools_cannot_see(tmp_path):
    train, test = dump(tmp_path, crops=3), dump(tmp_path / "test", seed=1)
    assert learn(tmp_path, "tcp", [train], [test]) > 0.9
    for control in ("linear", "attention_pool"):
        assert learn(tmp_path, control, [train], [test]) < 0.75
    aggregate.run([[test]], manifest(tmp_path), tmp_path / "ap.h5")
    assert top1(tmp_path / "ap.h5") < 0.6
    assert (
        read_scores(tmp_path / "s.h5").cost["parameters"] > read_scores(tmp_path / "ap.h5").cost["parameters"]
    )


def test_multi_stream_tcp_joins_streams_by_id_and_does_without_absent_ones(tmp_path):
    def only_rise(i, ramp):  # one stream tells rising from the rest, the other falling
        return ramp * (i % 3 == 0)

    def only_fall(i, ramp):
        return ramp * (i % 3 == 1)

    def pair(folder, seed):
        gaps = [f"v{i}" for i in range(0, 60, 5)]
        return [
            dump(folder, seed=seed, checkpoint="a", signal=only_rise),
            dump(folder, seed=seed + 10, checkpoint="b", signal=only_fall, width=4, absent=gaps),
        ]

    settings = {"streams": ("a", "b"), "stream_width": 16}
    found = learn(tmp_path, "multi_stream_tcp", pair(tmp_path, 0), pair(tmp_path / "test", 1), **settings)
    assert found > 0.7  # one stream alone tells no more than two thirds
    assert len(read_scores(tmp_path / "s.h5")) == 60


def test_several_dumps_of_one_checkpoint_are_draws_of_one_stream(tmp_path):
    opened = [read_features([dump(tmp_path, draw=d)]) for d in range(3)] + [
        read_features([dump(tmp_path, checkpoint="other")])
    ]
    groups = group_dumps(opened)
    assert [len(group) for group in groups] == [3, 1]
    ids = opened[0].video_ids
    source = FeatureSource(groups[:1], ids, np.zeros(60, int))
    seen = {source.read(0, np.random.default_rng(s)).tobytes() for s in range(20)}
    assert len(seen) == 3
    first = source.read(0, np.random.default_rng(1))
    assert first.shape == (T, D + 1) and (first[:, -1] == 1).all() and first.dtype == np.float32


def test_a_source_puts_crops_apart_and_repeats_those_of_a_stream_with_fewer(tmp_path):
    many, one = read_features([dump(tmp_path, crops=3)]), read_features([dump(tmp_path, checkpoint="b")])
    source = FeatureSource([[many], [one]], many.video_ids[::-1], np.zeros(60, int), paths="both")
    rows, batch = next(source.batches(4))
    assert batch.shape == (4, 3, T, 2 * (D + 2) + 2) and rows.tolist() == [0, 1, 2, 3]
    views = many.read("features_local", 59).reshape(T, 3, D)
    np.testing.assert_allclose(batch[0, 2, :, :D], views[:, 2])
    assert (batch[0, 0, :, D + 2 : -2] == batch[0, 2, :, D + 2 : -2]).all()


def test_the_same_fit_gives_the_same_weights(tmp_path):
    train = dump(tmp_path)
    settings = AggregationSettings(**{**QUICK, "epochs": 3})
    fit_aggregator.run(
        [[train]], manifest(tmp_path), tmp_path / "a.safetensors", method="tcp", settings=settings
    )
    fit_aggregator.run(
        [[train]], manifest(tmp_path), tmp_path / "b.safetensors", method="tcp", settings=settings
    )
    (a, about_a), (b, about_b) = (read_model(tmp_path / f"{name}.safetensors") for name in "ab")
    assert about_a == about_b and all(torch.equal(a[name], b[name]) for name in a)


def test_features_of_another_checkpoint_or_class_list_or_shape_do_not_pass(tmp_path):
    train = dump(tmp_path)
    model = tmp_path / "tcp.safetensors"
    chosen = AggregationSettings(**{**QUICK, "epochs": 0.1})
    fit_aggregator.run([[train]], manifest(tmp_path), model, method="tcp", settings=chosen)
    other = dump(tmp_path, checkpoint="other")
    run = lambda dumps, **options: aggregate.run(  # noqa: E731
        dumps, manifest(tmp_path), tmp_path / "s.h5", method="tcp", **options
    )
    with pytest.raises(
        ScoresError, match=r"other-0/0000.h5: dumped with checkpoint other, but .*tcp.safetensors was"
    ):
        run([[other]], model=model)
    with pytest.raises(ScoresError, match=r"tcp.safetensors: trained on 1 streams, but 2 were given"):
        run([[train], [other]], model=model)
    with pytest.raises(ScoresError, match=r"s.h5: tcp is learned; give --model"):
        run([[train]])
    write_model(tmp_path / "x.safetensors", {"w": torch.zeros(1)})
    with pytest.raises(
        CheckpointError, match=r"x.safetensors: no 'method' in it; not the model file of an aggregation"
    ):
        run([[train]], model=tmp_path / "x.safetensors")


def test_features_and_manifest_must_have_the_same_videos(tmp_path):
    train = dump(tmp_path)
    with pytest.raises(ScoresError, match=r"0000.h5: no features for 3 of 63 videos in .*m.csv, first 'v60'"):
        aggregate.run([[train]], manifest(tmp_path, 63), tmp_path / "s.h5")
    with pytest.raises(
        ScoresError, match=r"0000.h5: features of 10 videos that are not in .*m.csv, first 'v50'"
    ):
        aggregate.run([[train]], manifest(tmp_path, 50), tmp_path / "s.h5")
    with pytest.raises(
        ScoresError, match=r"0000.h5: no features for 3 of 63 videos of the manifest, first 'v60'"
    ):
        fit_aggregator.run(
            [[train]], manifest(tmp_path, 63), tmp_path / "x", method="tcp", settings=AggregationSettings()
        )


def test_streams_of_one_network_must_have_the_same_clips(tmp_path):
    one, three = read_features([dump(tmp_path)]), read_features([dump(tmp_path, checkpoint="b", crops=2)])
    three.num_crops = 1
    with pytest.raises(ScoresError, match=r"b-0/0000.h5: 12 clips per video, but .*c-0/0000.h5 has 6"):
        FeatureSource([[one], [three]], one.video_ids, np.zeros(60, int))
    shuffled = read_features([dump(tmp_path, draw=1)])
    shuffled.video_ids = shuffled.video_ids[::-1]
    with pytest.raises(
        ScoresError, match=r"c-1/0000.h5: other videos, or in another order, than in .*c-0/0000.h5"
    ):
        FeatureSource([[one, shuffled]], one.video_ids, np.zeros(60, int))
