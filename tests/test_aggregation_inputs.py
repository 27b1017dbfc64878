"""Features that an aggregation was not made for are an error with the file's name, never a score."""

import numpy as np
import pytest
import torch

from lgdnet.checkpoint import CheckpointError, read_model, write_model
from lgdnet.loader.features import FeatureSource
from lgdnet.scores import FeaturesWriter, ScoresError, read_features, read_scores
from lgdnet.settings import AggregationSettings, JointSettings
from lgdnet.stages import aggregate, fit_aggregator

torch.set_num_threads(1)
CLASSES = ["run", "jump", "sing"]
IDS = [f"v{i:02d}" for i in range(12)]
QUICK = {"width": 4, "epochs": 0.1}
T, D = 4, 6


def dump(folder, *, ids=IDS, checkpoint="c", crops=1, clips=T, width=D, absent=(), settings="{}"):
    generator = np.random.default_rng(len(str(folder)))
    with FeaturesWriter(
        folder / "0.h5", video_ids=ids, num_views=clips * crops, classes=CLASSES,
        provenance={"settings": settings}, checkpoint_digest=checkpoint, dtype="float32",
    ) as writer:  # fmt: skip
        for video_id in ids:
            if video_id in absent:
                writer.add_absent(video_id)
                continue
            starts, which = np.repeat(np.arange(clips), crops), np.tile(np.arange(crops), clips)
            features = generator.normal(size=(clips * crops, width))
            writer.add(
                video_id, starts, which, features, None, generator.normal(size=(clips * crops, len(CLASSES)))
            )
    return folder / "0.h5"


def manifest(folder):
    lines = [f"{video_id},{i % 3}" for i, video_id in enumerate(IDS)]
    (folder / "m.csv").write_text("\n".join(["video_id,class_index", *lines]))
    return folder / "m.csv"


def fit(folder, *dumps, method="tcp", **joint):
    settings = JointSettings(**QUICK, **joint) if joint else AggregationSettings(**QUICK)
    model = folder / "model.safetensors"
    fit_aggregator.run([[path] for path in dumps], manifest(folder), model, method=method, settings=settings)
    return model


def apply(folder, *dumps, method="tcp", model=None):
    aggregate.run([[path] for path in dumps], manifest(folder), folder / "s.h5", method=method, model=model)
    return read_scores(folder / "s.h5")


def test_a_pool_takes_one_stream(tmp_path):
    one, other = dump(tmp_path / "a"), dump(tmp_path / "b", checkpoint="d")
    with pytest.raises(
        ScoresError, match=r"s.h5: average_pool takes the features of one stream, but 2 dumps"
    ):
        apply(tmp_path, one, other, method="average_pool")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"clips": 3}, r"b/0.h5: 3 clips of 6 features, but .*model.safetensors was trained on 4 of 6"),
        ({"width": 7}, r"b/0.h5: 4 clips of 7 features, but .* was trained on 4 of 6"),
        (
            {"settings": '{"dump": {"num_clips": 5}}'},
            r'b/0.h5: dumped with {"dump": {"num_clips": 5}}, but .*model.safetensors was trained on .* {"dump": {}}',
        ),
        ({"settings": '{"stream": {"crop": 9}}'}, r'b/0.h5: dumped with .*"crop": 9'),
    ],
)
def test_features_dumped_otherwise_than_in_training_are_an_error(tmp_path, other, message):
    model = fit(tmp_path, dump(tmp_path / "a"))
    with pytest.raises(ScoresError, match=message):
        apply(tmp_path, dump(tmp_path / "b", **other), model=model)


def test_other_crops_and_precision_and_draws_are_no_difference(tmp_path):
    drawn = '{"draw": 3, "dump": {"num_crops": 2, "dtype": "float16", "training_dumps": 2}}'
    model = fit(tmp_path, dump(tmp_path / "a"))
    assert len(apply(tmp_path, dump(tmp_path / "b", crops=2, settings=drawn), model=model)) == len(IDS)


def test_a_model_is_applied_by_its_own_method(tmp_path):
    features = dump(tmp_path / "a")
    model = fit(tmp_path, features)
    with pytest.raises(ScoresError, match=r"model.safetensors: trained as tcp, not linear. Say --method tcp"):
        apply(tmp_path, features, method="linear", model=model)
    weights, about = read_model(model)
    write_model(model, weights, {key: value for key, value in about.items() if key != "num_clips"})
    with pytest.raises(CheckpointError, match=r"model.safetensors: no 'num_clips' in it; .* Fit it again"):
        apply(tmp_path, features, model=model)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"absent": ["v03"]},
            r"b/0.h5: 1 videos are absent here or in .*a/0.h5, but not in both, first 'v03'",
        ),
        ({"ids": [*IDS, "zz"]}, r"b/0.h5: other videos, or in another order, than in .*a/0.h5"),
        ({"ids": IDS[::-1]}, r"b/0.h5: other videos, or in another order, than in .*a/0.h5"),
        ({"crops": 2}, r"b/0.h5: 2 crops and widths .* but .*a/0.h5 has 1"),
        ({"width": 7}, r"b/0.h5: 1 crops and widths .*7.* but .*a/0.h5 has 1 and .*6"),
    ],
)
def test_dumps_of_one_stream_must_be_alike(tmp_path, other, message):
    first, second = dump(tmp_path / "a"), dump(tmp_path / "b", **other)
    for pair in ([first, second], [second, first]):
        with pytest.raises(ScoresError) as raised:
            fit(tmp_path, *pair)
        if pair[0] is first:
            assert raised.match(message)


def test_two_dumps_of_one_checkpoint_do_not_pass_for_two_streams(tmp_path):
    one, again, other = dump(tmp_path / "a"), dump(tmp_path / "b"), dump(tmp_path / "c", checkpoint="d")
    joint = {"method": "multi_stream_tcp", "streams": ("a", "b"), "stream_width": 4}
    with pytest.raises(ScoresError, match=r"features of 1 checkpoints instead of 2: .*a/0.h5. Dumps of one"):
        fit(tmp_path, one, again, **joint)
    with pytest.raises(ScoresError, match=r"features of 2 checkpoints instead of 1"):
        fit(tmp_path, one, other)
    model = fit(tmp_path, one, again, other, **joint)
    with pytest.raises(ScoresError, match=r"model.safetensors: trained on 2 streams, but 3 were given"):
        apply(tmp_path, one, again, other, method="multi_stream_tcp", model=model)


def test_a_split_on_which_a_stream_is_silent_has_no_scores_and_no_crash(tmp_path):
    heard, silent = dump(tmp_path / "a"), dump(tmp_path / "b", absent=IDS)
    for method, model in (("average_pool", None), ("max_pool", None), ("tcp", fit(tmp_path, heard))):
        found = apply(tmp_path, silent, method=method, model=model)
        assert len(found) == 0 and sorted(found.absent) == IDS
    with pytest.raises(ScoresError, match=r"b/0.h5: no video has features \(is all of it silent\?\)"):
        fit(tmp_path, silent)


def test_a_joint_network_does_without_a_stream_that_is_silent_all_through(tmp_path):
    frame, sound = dump(tmp_path / "a"), dump(tmp_path / "b", checkpoint="d", width=3)
    joint = {"method": "multi_stream_tcp", "streams": ("a", "b"), "stream_width": 4}
    model = fit(tmp_path, frame, sound, **joint)
    silent = dump(tmp_path / "c", checkpoint="d", crops=2, absent=IDS)
    assert len(apply(tmp_path, frame, silent, method="multi_stream_tcp", model=model)) == len(IDS)
    source = FeatureSource([[read_features([silent])], [read_features([frame])]], np.array(IDS), np.zeros(12))
    assert source.num_clips == T
