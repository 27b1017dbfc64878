"""The manifest stage: what is written, what is refused and with which words."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
from barcodes import write_video

from lgdnet.datasets import probing
from lgdnet.errors import InputError
from lgdnet.manifest import ManifestError, read_classes, read_manifest, read_rejected
from lgdnet.settings import DatasetSettings, ManifestSettings
from lgdnet.stages import manifest as stage
from lgdnet.stages.manifest import health
from lgdnet.watchdog import Failure


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four good videos in two class folders, one empty file and one cut off."""
    root = tmp_path_factory.mktemp("videos")
    for i, name in enumerate(["run/a", "run/b", "walk/c", "walk/d"]):
        write_video(root / f"{name}.mp4", 20 + i, with_audio=name == "run/a", first_number=100 * i)
    (root / "run/empty.mp4").touch()
    (root / "walk/cut.mp4").write_bytes((root / "walk/c.mp4").read_bytes()[:1500])
    return root


def list_dataset(*, dataset="csv", video_root, annotations, classes=None, allow_duplicates=False, **keys):
    settings = DatasetSettings(
        format=dataset, video_root=video_root, annotations=annotations, classes=classes, **keys
    )
    return stage.list_dataset(settings, allow_duplicates=allow_duplicates)


def run(*, video_root, annotations, out_dir, num_workers=1, **settings):
    dataset = DatasetSettings(format="csv", video_root=video_root, annotations=annotations)
    stage.run(dataset, ManifestSettings(**settings), Path(), out_dir, num_workers=num_workers)


def csv(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_good_videos_are_listed_and_bad_ones_rejected_with_the_reason(videos, tmp_path):
    train = csv(
        tmp_path / "train.csv", "video_id,path,label,split",
        "a,run/a.mp4,run,train", "e,run/empty.mp4,run,train",
        "c,walk/c.mp4,walk,train", "t,walk/cut.mp4,walk,train", "m,walk/none.mp4,walk,train",
    )  # fmt: skip
    test = csv(tmp_path / "test.csv", "video_id,path", "b,run/b.mp4", "d,walk/d.mp4")
    out = tmp_path / "manifest"
    run(
        video_root=videos, annotations={"train": train, "test": test}, out_dir=out,
        max_rejected=0.7, num_workers=2,
    )  # fmt: skip
    manifest = read_manifest(out / "train.csv")
    assert manifest.video_ids.tolist() == ["a", "c"]
    assert manifest.labels.tolist() == [0, 1] and manifest.num_frames.tolist() == [20, 22]
    assert manifest.has_audio.tolist() == [True, False]
    assert manifest.paths.tolist() == ["run/a.mp4", "walk/c.mp4"] and manifest.backends.tolist() == [
        "seek",
        "seek",
    ]
    assert read_classes(out / "classes.txt") == ["run", "walk"]
    assert read_manifest(out / "test.csv").labels.tolist() == [-1, -1]
    rejected = read_rejected(out / "rejected.csv").set_index("video_id")
    assert rejected["verdict"].to_dict() == {"e": "empty", "t": "truncated", "m": "missing"}
    counts = pd.read_csv(out / "health.csv", keep_default_na=False).set_index(["split", "class"])
    names = ["num_videos", "ok", "empty", "truncated", "missing"]
    assert counts.loc[("train", "*"), names].tolist() == [5, 2, 1, 1, 1]
    assert counts.loc[("train", "walk"), "without_audio"] == 1


def test_a_second_run_probes_only_what_is_new(videos, tmp_path, monkeypatch):
    train = csv(tmp_path / "train.csv", "path,label", "run/a.mp4,run", "walk/c.mp4,walk")
    out = tmp_path / "manifest"
    arguments = {"video_root": videos, "annotations": {"train": train}, "out_dir": out}
    run(**arguments, num_workers=1)
    first = (out / "train.csv").read_bytes()
    lines = (out / "probes.jsonl").read_text().splitlines()
    assert len(lines) == 2
    # A kill in the middle of a line: that video is probed again, the other one is not.
    fake = json.loads(lines[0])
    fake[3] = 777
    (out / "probes.jsonl").write_text(json.dumps(fake) + "\n" + lines[1][:40])
    run(**arguments, num_workers=1)
    assert sorted(read_manifest(out / "train.csv").num_frames.tolist())[-1] == 777
    (out / "probes.jsonl").unlink()
    run(**arguments, num_workers=1)
    assert (out / "train.csv").read_bytes() == first


def test_shards_of_probing_are_put_together_without_probing_again(videos, tmp_path, monkeypatch):
    lines = ["run/a.mp4,run", "run/b.mp4,run", "walk/c.mp4,walk"]
    train = csv(tmp_path / "train.csv", "path,label", *lines)
    dataset = DatasetSettings(format="csv", video_root=videos, annotations={"train": train})
    shards = [tmp_path / f"probes/{i}.jsonl" for i in range(2)]
    for i, shard in enumerate(shards):
        stage.probe_shard(dataset, ManifestSettings(), Path(), shard, shard=i, num_shards=2, num_workers=1)
    assert [len(shard.read_text().splitlines()) for shard in shards] == [1, 2]
    asked = []
    monkeypatch.setattr(
        probing, "killable_map", lambda target, calls, **options: iter(asked.extend(calls) or ())
    )
    stage.run(dataset, ManifestSettings(), Path(), tmp_path / "m", probes=shards, num_workers=1)
    assert asked == [] and len(read_manifest(tmp_path / "m/train.csv")) == 3


BAD_ANNOTATIONS = {
    "unknown column": (
        ["path,label,fps", "run/a.mp4,run,25"],
        r"train\.csv: row 1: unknown column 'fps'. Known columns",
    ),
    "missing column": (["video_id,label", "a,run"], r"train\.csv: row 1: column 'path' is missing"),
    "no row of the split": (
        ["path,label,split", "run/a.mp4,run,test"],
        r"train\.csv: no row is of split 'train'.*: test",
    ),
    "twice": (
        ["path,label", "run/a.mp4,run", "run/a.mp4,run"],
        r"train\.csv: row 3: video id 'run/a' stands there twice",
    ),
    "climbs": (
        ["path,label", "run/a.mp4,run", "../x.mp4,run"],
        r"train\.csv: row 3: path '\.\./x\.mp4' climbs out of the",
    ),
    "absolute": (
        ["path,label", "/etc/x.mp4,run"],
        r"train\.csv: row 2: path '/etc/x\.mp4' climbs out of the video root",
    ),
    "an id that climbs": (
        ["video_id,path,label", "a,run/a.mp4,run", "../../../escaped,walk/c.mp4,walk"],
        r"train\.csv: row 3: video id '\.\./\.\./\.\./escaped' climbs out of the folder.*Write it without",
    ),
    "an id that climbs later": (
        ["video_id,path,label", "run/../../a,run/a.mp4,run"],
        r"train\.csv: row 2: video id 'run/\.\./\.\./a' climbs out",
    ),
    "an absolute id": (
        ["video_id,path,label", "/tmp/a,run/a.mp4,run"],
        r"train\.csv: row 2: video id '/tmp/a' climbs out of the folder",
    ),
    "empty path": (["video_id,path,label", "a,,run"], r"train\.csv: row 2: the path is empty"),
    "empty file": ([""], r"train\.csv: the file is empty"),
    "ragged": (
        ["path,label", "a,b", "a,b,c,d"],
        r"train\.csv: not a CSV file \(Expected 2 fields in line 3, saw 4\)",
    ),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
def test_bad_annotations_end_in_one_line_with_file_and_row(case, videos, tmp_path):
    lines, message = BAD_ANNOTATIONS[case]
    path = csv(tmp_path / "train.csv", *lines)
    with pytest.raises(InputError, match=message) as error:
        list_dataset(video_root=videos, annotations={"train": path})
    assert "\n" not in str(error.value)


def test_an_id_may_hold_slashes_and_dots(videos, tmp_path):
    ids = ["ApplyEyeMakeup/v_x", "a..b", "run/../c"]
    train = csv(
        tmp_path / "train.csv", "video_id,path,label", *(f"{video_id},run/a.mp4,run" for video_id in ids)
    )
    table, _ = list_dataset(video_root=videos, annotations={"train": train})
    assert table["video_id"].tolist() == ids


def test_a_missing_annotation_file(videos, tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: no such annotation file. Correct dataset.annotations"):
        list_dataset(video_root=videos, annotations={"train": tmp_path / "none.csv"})


def test_a_label_that_is_not_in_the_class_list_names_its_neighbour(videos, tmp_path):
    train = csv(tmp_path / "train.csv", "path,label", "run/a.mp4,run", "walk/c.mp4,wallk")
    classes = csv(tmp_path / "classes.txt", "run", "walk")
    with pytest.raises(
        InputError, match=r"train\.csv: row 3: label 'wallk' is not in the class list .*; did you mean 'walk'"
    ):
        list_dataset(video_root=videos, annotations={"train": train}, classes=classes)


def test_a_validation_label_that_training_lacks(videos, tmp_path):
    train = csv(tmp_path / "train.csv", "path,label", "run/a.mp4,run")
    val = csv(tmp_path / "val.csv", "path,label", "walk/c.mp4,walk")
    with pytest.raises(
        InputError, match=r"val\.csv: row 2: label 'walk' is not in the 1 classes of the training split"
    ):
        list_dataset(video_root=videos, annotations={"train": train, "validation": val})


def test_an_id_in_two_splits(videos, tmp_path, capsys):
    train = csv(tmp_path / "train.csv", "path,label", "run/a.mp4,run", "walk/c.mp4,walk")
    val = csv(tmp_path / "val.csv", "path,label", "walk/c.mp4,walk")
    arguments = {"video_root": videos, "annotations": {"train": train, "validation": val}}
    with pytest.raises(
        InputError, match=r"val\.csv: row 2: video id 'walk/c' is also in split 'train' .*row 3"
    ):
        list_dataset(**arguments)
    assert len(list_dataset(**arguments, allow_duplicates=True)[0]) == 3
    assert "allowed by manifest.allow_duplicates" in capsys.readouterr().err


def test_the_same_bytes_in_training_and_validation(videos, tmp_path, capsys):
    (tmp_path / "root").mkdir()
    for name in ("x", "y"):
        (tmp_path / f"root/{name}.mp4").write_bytes((videos / "run/a.mp4").read_bytes())
    train = csv(tmp_path / "train.csv", "path,label", "x.mp4,run")
    val = csv(tmp_path / "val.csv", "path,label", "y.mp4,run")
    arguments = {
        "video_root": tmp_path / "root", "annotations": {"train": train, "validation": val},
        "out_dir": tmp_path / "manifest", "num_workers": 1,
    }  # fmt: skip
    with pytest.raises(
        InputError, match=r"duplicates\.csv: 1 validation videos have the same bytes .*'y.mp4' = 'x.mp4'"
    ):
        run(**arguments)
    run(**arguments, allow_duplicates=True)
    assert "1 groups of videos with the same bytes" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "manifest/duplicates.csv")["video_id"].tolist() == ["x", "y"]


def test_too_many_rejected_videos_stop_the_workflow(videos, tmp_path):
    train = csv(tmp_path / "train.csv", "path,label", "run/a.mp4,run", "run/empty.mp4,run")
    with pytest.raises(
        InputError, match=r"rejected\.csv: 1 of 2 videos of split 'train' cannot be used \(1 empty\)"
    ):
        run(
            video_root=videos,
            annotations={"train": train},
            out_dir=tmp_path / "m",
            num_workers=1,
        )


def test_a_root_without_videos(tmp_path):
    train = csv(tmp_path / "train.csv", "path,label", "a.mp4,run")
    (tmp_path / "root").mkdir()
    for root, message in (("root", "no video in this folder"), ("nowhere", "no such folder")):
        with pytest.raises(InputError, match=f"{root}: {message}. Set dataset.video_root"):
            list_dataset(video_root=tmp_path / root, annotations={"train": train})


def test_a_dataset_without_annotations(videos):
    with pytest.raises(InputError, match=r"dataset\.annotations is empty"):
        list_dataset(video_root=videos, annotations={})


def test_a_file_with_columns_and_split_names_of_its_own(videos, tmp_path):
    lines = [
        "run/a.mp4,run,train,25",
        "walk/c.mp4,walk,train,25",
        "other/x.mp4,fly,train,9",
        "walk/d.mp4,walk,eval,25",
    ]
    path = csv(tmp_path / "all.csv", "path,label,split,fps", *lines)
    arguments = {
        "video_root": videos,
        "annotations": {"train": path, "validation": path},
        "ignore_columns": ("fps",),
        "splits": {"validation": "eval"},
    }
    found, classes = list_dataset(**arguments, select="*[nk]/*.mp4")
    assert found["path"].tolist() == ["run/a.mp4", "walk/c.mp4", "walk/d.mp4"] and classes == ["run", "walk"]
    with pytest.raises(InputError, match=r"all\.csv: no path of split 'train' matches 'x/\*'"):
        list_dataset(**arguments, select="x/*")
    with pytest.raises(InputError, match="select and ignore_columns belong to format csv only"):
        list_dataset(**arguments, dataset="tsn")


@pytest.mark.parametrize("how", ["sleep", "spin"])
def test_a_hanging_decoder_costs_one_file(how, videos, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    (tmp_path / f"{how}.mp4").write_bytes(b"a")
    (tmp_path / "good.mp4").write_bytes(b"b")
    start = time.monotonic()
    found = probing.probe_all(
        [f"{how}.mp4", "good.mp4"], tmp_path, {}, journal=tmp_path / "p.jsonl",
        timeout_sec=1.5, num_workers=1, prober="targets:probe_by_name",
    )  # fmt: skip
    assert time.monotonic() - start < 100  # the decoder hangs for 600
    assert found["verdict"].tolist() == ["undecodable", "ok"]
    assert found["reason"].tolist() == ["the decoder did not finish within 1.5 s", ""]


def test_an_unexpected_error_while_probing_costs_one_file_and_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    for name in ("raise", "good"):
        (tmp_path / f"{name}.mp4").write_bytes(b"a")
    arguments = {"journal": tmp_path / "p.jsonl", "timeout_sec": 10, "num_workers": 1}
    paths = ["raise.mp4", "good.mp4"]
    found = probing.probe_all(paths, tmp_path, {}, prober="targets:probe_by_name", **arguments)
    assert found["verdict"].tolist() == ["undecodable", "ok"]
    assert "not expected (KeyError: 'no such thing')" in found["reason"][0]
    assert "raise.mp4: reading it ends in an error" in capsys.readouterr().err
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 2


def test_a_decoder_that_crashes_or_eats_memory_is_a_verdict():
    found = probing.verdict_of(Failure("error", "MemoryError"), 3)
    assert (found["verdict"], found["reason"]) == (
        "undecodable", "the decoder needs more memory than it may have",
    )  # fmt: skip
    assert "crashed" in probing.verdict_of(Failure("crash", "the process ended with code -11"), 3)["reason"]


def test_health_counts_every_verdict_per_split_and_class():
    table = pd.DataFrame(
        {
            "split": ["train", "train", "test"],
            "label": ["run", "walk", "run"],
            "verdict": ["ok", "truncated", "ok"],
            "has_audio": [True, False, False],
            "has_constant_rate": [True, False, False],
            "num_damaged": [3, 0, 0],
        }
    )
    counts = health(table).set_index(["split", "class"])
    assert counts.loc[("train", "*"), ["num_videos", "ok", "truncated", "damaged"]].tolist() == [2, 1, 1, 1]
    assert counts.loc[("test", "run"), ["without_audio", "variable_rate"]].tolist() == [1, 1]


def test_shards_of_a_manifest_are_contiguous_and_travel_as_path_and_rows(videos, tmp_path):
    import pickle

    lines = [f"v{i},run/{i}.mp4,run,0,10" for i in range(10)]
    path = csv(tmp_path / "train.csv", "video_id,path,label,class_index,num_frames", *lines)
    manifest = read_manifest(path)
    shards = [manifest.shard(i, 3) for i in range(3)]
    assert [len(s) for s in shards] == [3, 3, 4]
    assert [v for s in shards for v in s.video_ids] == manifest.video_ids.tolist()
    pickled = pickle.dumps(shards[1])
    assert len(pickled) < 500
    again = pickle.loads(pickled)
    assert again.video_ids.tolist() == ["v3", "v4", "v5"] and again.first_row == 3
    assert again.shard(1, 2).first_row == 4


def test_a_manifest_that_is_none(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.csv: no such manifest"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="column 'class_index' is missing"):
        read_manifest(csv(tmp_path / "a.csv", "video_id,path,label,num_frames", "a,b,c,1"))
    with pytest.raises(ManifestError, match="row 3: video id 'a' stands there twice"):
        read_manifest(
            csv(tmp_path / "b.csv", "video_id,path,label,class_index,num_frames", "a,b,c,0,1", "a,b,c,0,1")
        )
    with pytest.raises(ManifestError, match="not a manifest"):
        read_manifest(csv(tmp_path / "c.csv", "video_id,path,label,class_index,num_frames", "a,b,c,x,1"))


@pytest.mark.parametrize("lines", [["run", "walk"], ["1 run", "2 walk"], ["0\trun", "1\twalk"]])
def test_class_lists_with_and_without_numbers(tmp_path, lines):
    assert read_classes(csv(tmp_path / "c.txt", *lines)) == ["run", "walk"]


def test_class_lists_that_are_wrong(tmp_path):
    with pytest.raises(ManifestError, match="no such class list"):
        read_classes(tmp_path / "none.txt")
    with pytest.raises(ManifestError, match="the class list is empty"):
        read_classes(csv(tmp_path / "c.txt", ""))
    with pytest.raises(ManifestError, match="row 2: class 'run' stands there twice"):
        read_classes(csv(tmp_path / "c.txt", "run", "run"))
