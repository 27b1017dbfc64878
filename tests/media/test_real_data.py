"""The same on real files. Set LGDNET_REAL_DATA to the folder that holds `annotations` and `odd`."""

import os
from pathlib import Path

import numpy as np
import pytest

from lgdnet.datasets import DATASETS, Annotations
from lgdnet.datasets.activitynet import read_predictions
from lgdnet.datasets.probing import probe_all
from lgdnet.manifest import read_classes
from lgdnet.video import probe, read_frames

ROOT = Path(os.environ.get("LGDNET_REAL_DATA", "/nowhere"))
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="LGDNET_REAL_DATA names no folder of real data")

ANNOTATIONS = [  # format, file, split, videos, classes
    ("kinetics-csv", "kinetics/kinetics-400_val.csv", "validation", 19906, 400),
    ("kinetics-csv", "kinetics/kinetics-600_val.csv", "validation", 30000, 600),
    *(
        ("ucf101", f"ucf101_splits/trainlist0{i}.txt", "train", n, 101)
        for i, n in ((1, 9537), (2, 9586), (3, 9624))
    ),
    *(
        ("ucf101", f"ucf101_splits/testlist0{i}.txt", "test", n, 101)
        for i, n in ((1, 3783), (2, 3734), (3, 3696))
    ),
    *(
        ("coviar", f"hmdb51_splits_dmcnet/hmdb51_split{i}_{part}.txt", part, n, 51)
        for i in (1, 2, 3)
        for part, n in (("train", 3570), ("test", 1530), ("others", 1666))
    ),
]
CLASS_LISTS = {
    "labels/activitynet.txt": 200, "labels/diving48.txt": 48, "labels/hmdb51.txt": 51, "labels/jester.txt": 27,
    "labels/kinetics400.txt": 400, "labels/kinetics600.txt": 600, "labels/kinetics700.txt": 700, "labels/ntu60.txt": 60,
    "labels/something_v2.txt": 174, "labels/ucf101.txt": 101, "ucf101_splits/classInd.txt": 101,
    "hmdb51_splits_dmcnet/mapping_table.txt": 51,
}  # fmt: skip

# file: verdict, frames. `corrupted.mp4` loses a packet in the middle and everything after it leans on that.
ODD = {
    "av1_video.mkv": ("ok", 125), "bt709_full_range.mp4": ("ok", 30), "corrupted.mp4": ("undecodable", 49),
    "flipping_a_pancake.mkv": ("ok", 310), "grid_s1_bbaf2n.mpg": ("ok", 75), "grid_s1_sgib8n_damaged.mpg": ("ok", 75),
    "h264_10bits.mp4": ("ok", 30), "h265_10bits.mp4": ("ok", 30), "h265_video.mp4": ("ok", 10),
    "mmaction2_demo.mp4": ("ok", 280), "mmaction2_demo_skeleton.mp4": ("ok", 72), "mmaction2_part_0.mp4": ("ok", 32),
    "mmaction2_test.avi": ("ok", 164), "mmaction2_test.mp4": ("ok", 300), "nasa_13013.mp4": ("ok", 390),
    "nasa_13013.mp4.audio.mp3": ("no-video", 0), "unordered.mov": ("ok", 4), "v_BaseballPitch_g01_c01.avi": ("ok", 107),
    "v_GGSY1Qvo990.mp4": ("ok", 355), "video_0.mov": ("ok", 3), "video_180.mov": ("ok", 3), "video_270.mov": ("ok", 3),
    "video_90.mov": ("ok", 3),
}  # fmt: skip


@pytest.mark.parametrize(("name", "file", "split", "videos", "classes"), ANNOTATIONS)
def test_every_annotation_file_parses_to_its_count(name, file, split, videos, classes):
    path = ROOT / "annotations" / file
    dataset = DATASETS[name]
    table = dataset.read(Annotations(path, split, ROOT, classes=dataset.classes_beside(path)))
    assert (len(table), table["video_id"].nunique(), table["label"].nunique()) == (videos, videos, classes)
    print(f"\n{file}: {videos} videos, {classes} classes", end="")


@pytest.mark.parametrize("file", CLASS_LISTS)
def test_every_class_list_parses_to_its_count(file):
    classes = read_classes(ROOT / "annotations" / file)
    assert len(classes) == CLASS_LISTS[file] and not classes[0][0].isdigit()


@pytest.mark.parametrize("number", [400, 600])
def test_kinetics_labels_are_those_of_the_class_list(number):
    path = ROOT / f"annotations/kinetics/kinetics-{number}_val.csv"
    table = DATASETS["kinetics-csv"].read(Annotations(path, "validation", ROOT))
    assert set(table["label"]) <= set(read_classes(ROOT / f"annotations/labels/kinetics{number}.txt"))


def test_the_official_prediction_file_parses():
    ids, labels, scores = read_predictions(
        ROOT / "annotations/activitynet_eval/sample_classification_prediction.json"
    )
    assert len(ids) == len(set(ids)) == scores.shape[0] and len(labels) == 200
    assert (np.isfinite(scores).sum(1) >= 1).all()
    assert set(labels) <= set(read_classes(ROOT / "annotations/labels/activitynet.txt"))
    print(f"\nactivitynet prediction: {len(ids)} videos, {len(labels)} classes", end="")


def test_every_odd_file_gets_its_verdict_within_its_time(tmp_path):
    files = sorted(p.name for p in (ROOT / "odd").iterdir() if p.is_file())
    assert files == sorted(ODD)
    found = probe_all(files, ROOT / "odd", {}, journal=tmp_path / "p.jsonl", timeout_sec=20, num_workers=2)
    got = dict(zip(files, found[["verdict", "num_frames"]].itertuples(index=False, name=None), strict=True))
    print()
    for file, row in zip(files, found.itertuples(), strict=True):
        print(f"{file:30s} {row.verdict:12s} {row.num_frames:4d} frames  {row.backend:6s} {row.reason}")
    assert got == ODD


def test_facts_of_odd_files():
    assert probe(ROOT / "odd/grid_s1_sgib8n_damaged.mpg").num_damaged > 0
    assert (probe(ROOT / "odd/video_90.mov").width, probe(ROOT / "odd/video_90.mov").height) == (320, 568)
    assert not probe(ROOT / "odd/mmaction2_part_0.mp4").has_constant_rate
    assert probe(ROOT / "odd/flipping_a_pancake.mkv").has_audio


def test_frames_equal_the_reference_bit_for_bit():
    reference = np.load(ROOT / "odd/decode_reference/frames.npz")
    names = [n for n in reference.files if ".stream3.frame" in n]
    indices = [int(n.rsplit("frame", 1)[1]) for n in names]
    for backend in ("pyav", "seek"):
        frames = read_frames(ROOT / "odd/nasa_13013.mp4", indices, backend=backend)
        distance = [
            np.abs(f.astype(int) - reference[n].astype(int)).max() for f, n in zip(frames, names, strict=True)
        ]
        print(f"\n{backend}: {len(names)} frames, largest difference {max(distance)}", end="")
        assert max(distance) == 0


@pytest.mark.parametrize("file", sorted(f for f, (verdict, _) in ODD.items() if verdict == "ok"))
def test_the_chosen_backend_returns_the_frames_of_a_sequential_decode(file):
    path = ROOT / "odd" / file
    found = probe(path)
    generator = np.random.default_rng(0)
    for _ in range(4):
        indices = np.sort(generator.integers(0, found.num_frames, 8))
        right = read_frames(path, indices, short_side=64)
        assert np.array_equal(read_frames(path, indices, short_side=64, backend=found.backend), right)


@pytest.mark.parametrize("file", ["video_0.mov", "video_90.mov", "video_180.mov", "video_270.mov"])
def test_rotated_files_stand_as_other_readers_turn_them(file):
    import cv2

    _, frame = cv2.VideoCapture(str(ROOT / "odd" / file)).read()
    ours = read_frames(ROOT / "odd" / file, [0])[0]
    assert ours.shape == frame.shape
    assert np.abs(ours.astype(int) - frame[:, :, ::-1].astype(int)).mean() < 6
