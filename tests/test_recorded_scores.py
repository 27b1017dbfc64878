"""Scores of real networks that others published with their accuracies: imported, fused, met to the last digit.

Streams of HMDB51 (splits 1 and 2) and UCF101 (split 1) by the authors of DMC-Net. They are not part of the
project: LGDNET_REAL_DATA names the folder that has them under `scores/`.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lgdnet import metrics
from lgdnet.fusion import METHODS, Fusion
from lgdnet.scores import ScoresError, align, read_scores
from lgdnet.scores.labels import read_labels
from lgdnet.stages import fuse, import_scores

ROOT = Path(os.environ.get("LGDNET_REAL_DATA", "nowhere"))
EXPECTED = ROOT / "scores/expected.json"
pytestmark = pytest.mark.skipif(
    not EXPECTED.exists(), reason="set LGDNET_REAL_DATA to the folder with scores/expected.json"
)
DATASETS = ["hmdb51_split1", "hmdb51_split2", "ucf101_split1"]


@pytest.fixture(scope="module", params=DATASETS)
def recorded(request, tmp_path_factory):
    """A manifest and one imported score file per stream."""
    folder = tmp_path_factory.mktemp(request.param)
    arrays = np.load(ROOT / f"scores/{request.param}.npz", allow_pickle=False)
    streams = [name.removeprefix("scores_") for name in arrays.files if name.startswith("scores_")]
    ids, labels = arrays["names_iframe"], arrays["labels"]
    pd.DataFrame({"video_id": ids, "class_index": labels}).to_csv(folder / "manifest.csv", index=False)
    (folder / "ids.txt").write_text("\n".join(ids.tolist()))
    for name in streams:
        # Other streams name videos by id; the mv stream of HMDB51 split 1 spells 351 of them otherwise.
        spelt_otherwise = request.param == "hmdb51_split1" and name == "mv"
        keys = {"ids": folder / "ids.txt"} if spelt_otherwise else {"ids_key": f"names_{name}"}
        import_scores.run(
            ROOT / f"scores/{request.param}.npz",
            folder / f"{name}.h5",
            scores_key=f"scores_{name}",
            classes_key="classes",
            manifest=folder / "manifest.csv",
            **keys,
        )
    return folder, streams, json.loads(EXPECTED.read_text())[request.param]


def figures(path, manifest):
    """Percent with three decimals, as published: top-1, top-5, mean over classes."""
    labels = read_labels(manifest)
    found = read_scores(path)
    scores, present = align([found], labels.video_ids, manifest)
    args = scores[0], labels.labels
    return {
        "top1": round(100 * metrics.top_k_accuracy(*args, 1, present[0]), 3),
        "top5": round(100 * metrics.top_k_accuracy(*args, 5, present[0]), 3),
        "mean_class": round(100 * metrics.mean_class_accuracy(*args, present[0]), 3),
    }


def published(name):
    """`iframe*2+mv+0.25*flow` and `mean of softmax iframe,flow` as a fusion with given weights."""
    if name.startswith("mean of"):
        _, _, kind, members = name.split(" ")
        return Fusion("published", tuple(members.split(",")), of="scores" if kind == "softmax" else "logits")
    parts = [
        re.fullmatch(r"(?:([\d.]+)\*)?([a-z_]+)(?:\*([\d.]+))?", p) for p in name.split(" ")[0].split("+")
    ]
    weights = tuple(float(part[1] or part[3] or 1) for part in parts)
    return Fusion("published", tuple(part[2] for part in parts), weights=weights, of="logits")


def test_every_published_accuracy_of_a_stream_is_met_to_the_last_digit(recorded):
    folder, streams, expected = recorded
    assert {name: figures(folder / f"{name}.h5", folder / "manifest.csv") for name in streams} == expected[
        "single"
    ]


def test_every_published_fusion_is_met_to_the_last_digit(recorded):
    folder, streams, expected = recorded
    files = {name: folder / f"{name}.h5" for name in streams}
    found = {}
    for name in expected["fusion"]:
        fuse.run(files, folder / "manifest.csv", folder / "fused.h5", fusion=published(name))
        found[name] = figures(folder / "fused.h5", folder / "manifest.csv")
    assert found == expected["fusion"]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_cross_fitted_weights_beat_every_stream_and_claim_less_than_in_sample_ones(recorded, method):
    folder, _, expected = recorded
    members = ("iframe", "mv", "residual", "flow")
    fusion = Fusion("searched", members, method, of="logits")
    files = {name: folder / f"{name}.h5" for name in members}
    fuse.run(files, folder / "manifest.csv", folder / "f.h5", fusion=fusion, study_out=folder / "study.csv")
    found = figures(folder / "f.h5", folder / "manifest.csv")
    study = pd.read_csv(folder / "study.csv").set_index("streams")
    print(f"{folder.name} {method}: cross-fitted {found}\n{study.to_string()}")
    assert found["top1"] > max(expected["single"][name]["top1"] for name in members) + 5
    assert found["top1"] == pytest.approx(study.loc["all, cross-fitted", "Top1"], abs=0.006)
    assert study.loc["all, in sample", "Top1"] >= study.loc["all, cross-fitted", "Top1"] - 0.3
    assert study.loc["without iframe", "brings_low"] > 0  # what the best stream brings is no chance


def test_the_stream_with_other_names_is_an_error_until_it_is_given_the_right_ones(tmp_path):
    arrays = np.load(ROOT / "scores/hmdb51_split1.npz", allow_pickle=False)
    table = pd.DataFrame({"video_id": arrays["names_iframe"], "class_index": arrays["labels"]})
    table.to_csv(tmp_path / "manifest.csv", index=False)
    with pytest.raises(
        ScoresError, match=r"hmdb51_split1.npz: 351 of its 1530 ids are not in .*manifest.csv"
    ):
        import_scores.run(
            ROOT / "scores/hmdb51_split1.npz", tmp_path / "mv.h5", scores_key="scores_mv", ids_key="names_mv",
            classes_key="classes", manifest=tmp_path / "manifest.csv",
        )  # fmt: skip
