"""A bit that flips anywhere in a file is an error with its name, or changes nothing."""

import json

import numpy as np
import pytest

from lgdnet.scores import FeaturesWriter, ScoresError, read_features, read_scores, softmax, write_scores

CLASSES = ["run", "jump", "sing"]
IDS = [f"video {i}" for i in range(6)]
NUM_FLIPS = 300
GENERATOR = np.random.default_rng(0)


def scores_file(path):
    logits = GENERATOR.normal(size=(6, 3))
    networks = {"c1": {"parameters": 5.0}}
    write_scores(
        path, IDS, softmax(logits), CLASSES, provenance={"settings": "{}"}, absent=["x"], networks=networks
    )


def read_scores_file(path):
    found = read_scores(path)
    return [
        found.video_ids.tolist(), found.scores.tolist(), found.classes, found.kind, found.absent.tolist(),
        found.networks, found.provenance,
    ]  # fmt: skip


def features_file(path):
    with FeaturesWriter(
        path,
        video_ids=IDS,
        num_views=2,
        classes=CLASSES,
        provenance={"settings": "{}"},
        checkpoint_digest="c1",
    ) as writer:
        for video_id in IDS[:5]:
            features = GENERATOR.normal(size=(2, 4))
            writer.add(video_id, [0, 8], [0, 0], features, features[:, :2], GENERATOR.normal(size=(2, 3)))
        writer.add_absent(IDS[5])


def read_features_file(path):
    found = read_features([path])
    try:
        names = ("features_local", "features_global", "logits", "start_frame", "crop")
        arrays = [found.read_range(name, 0, len(found)).tolist() for name in names]
        about = [found.video_ids.tolist(), found.present.tolist(), found.classes, found.checkpoint_digest]
        return [*arrays, *about, found.settings, found.cost, found.num_crops, found.width]
    finally:
        found.close()


@pytest.mark.parametrize(
    ("write", "read"), [(scores_file, read_scores_file), (features_file, read_features_file)]
)
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path, write, read):
    write(tmp_path / "whole.h5")
    whole, expected = (tmp_path / "whole.h5").read_bytes(), json.dumps(read(tmp_path / "whole.h5"))
    damaged, caught = tmp_path / "damaged.h5", 0
    for position in GENERATOR.integers(0, len(whole), NUM_FLIPS).tolist():
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(GENERATOR.integers(8))
        damaged.write_bytes(flipped)
        try:
            assert json.dumps(read(damaged)) == expected, f"bit of byte {position} of {len(whole)}"
        except ScoresError as error:
            assert "damaged.h5" in str(error)
            caught += 1
    assert caught > NUM_FLIPS / 10


@pytest.mark.parametrize(
    ("write", "read"), [(scores_file, read_scores_file), (features_file, read_features_file)]
)
def test_a_file_cut_short_anywhere_is_an_error(tmp_path, write, read):
    write(tmp_path / "whole.h5")
    whole = (tmp_path / "whole.h5").read_bytes()
    for length in range(0, len(whole), max(len(whole) // 60, 1)):
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        with pytest.raises(ScoresError, match=r"cut.h5: cannot be read"):
            read(tmp_path / "cut.h5")


def test_settings_may_be_longer_than_hdf5_keeps_in_a_header(tmp_path):
    settings = json.dumps({"text": "x" * 100_000})
    write_scores(tmp_path / "s.h5", IDS, np.eye(6), IDS, provenance={"settings": settings})
    assert read_scores(tmp_path / "s.h5").provenance["settings"] == settings
