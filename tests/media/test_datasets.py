"""Every annotation format, read from files made on the spot."""

import json

import pytest
from barcodes import write_video

from lgdnet.datasets import DATASETS, AnnotationError, Annotations
from lgdnet.datasets.activitynet import read_ground_truth, read_predictions
from lgdnet.datasets.rows import COLUMNS
from lgdnet.datasets.videos import find_by_name, list_videos, plain_name
from lgdnet.stages import convert


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def read(name, path, split="train", root=None, **options):
    table = DATASETS[name].read(Annotations(path, split, root or path.parent, **options))
    assert tuple(table.columns) == COLUMNS
    return table


def pairs(table):
    return list(table[["video_id", "label"]].itertuples(index=False, name=None))


KINETICS = {
    "700": ["label,youtube_id,time_start,time_end,split", "acting in play,abcdefghijk,47,57,train"],
    "400 with is_cc": [
        "label,youtube_id,time_start,time_end,split,is_cc",
        '"acting in play",abcdefghijk,47,57,train,0',
    ],
    "test, unlabelled": ["youtube_id,time_start,time_end,split", "abcdefghijk,47,57,test"],
    "times as fractions": [
        "label,youtube_id,time_start,time_end,split",
        "acting in play,abcdefghijk,47.0,57.0,train",
    ],
    "byte order mark": [
        "\ufefflabel,youtube_id,time_start,time_end,split",
        "acting in play,abcdefghijk,47,57,train",
    ],
    "spaces after the commas of the header": [
        "label, youtube_id, time_start, time_end, split",
        "acting in play,abcdefghijk,47,57,train",
    ],
}


@pytest.mark.parametrize("case", KINETICS)
def test_kinetics_csv(case, tmp_path):
    split = "test" if "test" in case else "train"
    table = read("kinetics-csv", text(tmp_path / "k.csv", *KINETICS[case]), split)
    assert pairs(table) == [("abcdefghijk_47_57", "" if split == "test" else "acting in play")]
    assert table["row"].tolist() == [2]


def test_kinetics_csv_takes_the_rows_of_its_split(tmp_path):
    path = text(
        tmp_path / "k.csv", "label,youtube_id,time_start,time_end,split", "a,aaaaaaaaaaa,0,10,val", "b,bbbbbbbbbbb,0,10,train"
    )  # fmt: skip
    assert pairs(read("kinetics-csv", path, "validation")) == [("aaaaaaaaaaa_0_10", "a")]
    with pytest.raises(
        AnnotationError, match=r"k\.csv: no row is of split 'test'; its column 'split' has: train, val"
    ):
        read("kinetics-csv", path, "test")
    assert len(read("kinetics-csv", path, "test", split_name="VAL")) == 1


@pytest.mark.parametrize("seconds", ["99999999999999999999", "1" * 400, "-10000001"])
def test_kinetics_csv_with_a_time_beyond_all_videos(seconds, tmp_path):
    rows = ["a,aaaaaaaaaaa,1,10,train", f"a,bbbbbbbbbbb,{seconds},10,train"]
    path = text(tmp_path / "k.csv", "label,youtube_id,time_start,time_end,split", *rows)
    with pytest.raises(
        AnnotationError, match=rf"k\.csv: row 3: time_start is '{seconds}', more than 10,000,000"
    ):
        read("kinetics-csv", path)


@pytest.mark.parametrize("name", ["csv", "mmaction2"])
def test_a_file_in_latin_1_is_told_to_be_in_the_wrong_encoding(name, tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes("path,label\na.mp4,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(
        AnnotationError, match=r"old\.csv: not in the encoding UTF-8 \(byte 0xe9\)\. Save it as UTF-8"
    ):
        read(name, path)


def test_kinetics_csv_with_a_time_that_is_none(tmp_path):
    path = text(tmp_path / "k.csv", "label,youtube_id,time_start,time_end,split", "a,aaaaaaaaaaa,x,10,train")
    with pytest.raises(AnnotationError, match=r"k\.csv: row 2: time_start is 'x', not a number of seconds"):
        read("kinetics-csv", path)


@pytest.mark.parametrize("inside", [True, False])
def test_kinetics_json(inside, tmp_path):
    segment = {"segment": [47.0, 57.0]}
    entry = {
        "annotations": {"label": "sing", **(segment if inside else {})},
        "subset": "validate",
        "url": "u",
    }
    document = {
        "abcdefghijk": entry | ({} if inside else segment),
        "bbbbbbbbbbb": entry | segment | {"subset": "train"},
    }
    path = tmp_path / "k.json"
    path.write_text(json.dumps(document))
    assert pairs(read("kinetics-json", path, "validation")) == [("abcdefghijk_47_57", "sing")]
    assert pairs(read("kinetics-json", path, "train")) == [("bbbbbbbbbbb_47_57", "sing")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ("{}", "no video"),
        ('{"a": {}}', "row 1: entry 'a' has no segment"),
    ],
)
def test_kinetics_json_that_is_wrong(content, message, tmp_path):
    (tmp_path / "k.json").write_text(content)
    with pytest.raises(AnnotationError, match=rf"k\.json: {message}"):
        read("kinetics-json", tmp_path / "k.json")


def test_padded_file_names_are_found_by_plain_ids_anywhere_under_the_root(tmp_path):
    for name in ("a/-bcdefghi_k_000047_000057.mp4", "b/c/abcdefghijk_000000_000010.webm", "d_only_this_.mkv"):
        text(tmp_path / name, "")
    import pandas as pd

    ids = pd.Series(["abcdefghijk_0_10", "-bcdefghi_k_47_57", "zzzzzzzzzzz_1_11"])
    assert find_by_name(ids, tmp_path).tolist() == [
        "b/c/abcdefghijk_000000_000010.webm",
        "a/-bcdefghi_k_000047_000057.mp4",
        "",
    ]
    text(tmp_path / "x/abcdefghijk_0_10.mp4", "")
    with pytest.raises(AnnotationError, match=r"are named like video 'abcdefghijk_0_10'\. Remove one"):
        find_by_name(ids, tmp_path)


def test_files_named_without_times_are_found_where_that_is_unambiguous(tmp_path):
    import pandas as pd

    for name in ("aaaaaaaaaaa.mp4", "bbbbbbbbbbb.mp4"):
        text(tmp_path / name, "")
    ids = pd.Series(["aaaaaaaaaaa_0_10", "bbbbbbbbbbb_0_10", "bbbbbbbbbbb_10_20"])
    assert find_by_name(ids, tmp_path).tolist() == ["aaaaaaaaaaa.mp4", "", ""]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("abcdefghijk_000047_000057", "abcdefghijk_47_57"),
        ("-_-_-_-_-_-_000000_000010", "-_-_-_-_-_-_0_10"),
        ("v_Run_g01", "v_Run_g01"),
    ],
)
def test_padding_is_taken_off_names(stem, name):
    assert plain_name(stem) == name


def test_listing_follows_links_but_not_in_circles(tmp_path):
    text(tmp_path / "a/x.MP4", "")
    text(tmp_path / "a/notes.txt", "")
    (tmp_path / "a/circle").symlink_to(tmp_path)
    assert list_videos(tmp_path) == ["a/x.MP4"]


def test_ucf101(tmp_path):
    text(tmp_path / "classInd.txt", "1 Archery", "2 Run")
    train = text(tmp_path / "trainlist01.txt", "Run/v_Run_g01_c01.avi 2", "Archery/v_Archery_g01_c01.avi 1")
    test = text(tmp_path / "testlist01.txt", "Run/v_Run_g02_c01.avi")
    classes = DATASETS["ucf101"].classes_beside(train)
    assert classes == ["Archery", "Run"]
    table = read("ucf101", train, classes=classes)
    assert pairs(table) == [("v_Run_g01_c01", "Run"), ("v_Archery_g01_c01", "Archery")]
    assert table["path"].tolist()[0] == "Run/v_Run_g01_c01.avi"
    assert pairs(read("ucf101", test, "validation", classes=classes)) == [("v_Run_g02_c01", "Run")]
    with pytest.raises(
        AnnotationError, match=r"bad\.txt: row 1: the number in 'Run/a.avi 1' is not that of its class"
    ):
        read("ucf101", text(tmp_path / "bad.txt", "Run/a.avi 1"), classes=classes)
    with pytest.raises(AnnotationError, match=r"row 1: 'a.avi 1' is not `Class/video.avi \[number\]`"):
        read("ucf101", text(tmp_path / "bad.txt", "a.avi 1"), classes=classes)


def test_hmdb51(tmp_path):
    folder = tmp_path / "splits"
    text(folder / "wave_test_split2.txt", "a b!_wave.avi 1", "c_wave.avi 2", "d_wave.avi 0")
    text(folder / "run_test_split2.txt", "x_run.avi 2 ")
    text(folder / "run_test_split1.txt", "x_run.avi 1")
    text(folder / "wave_test_split1.txt", "c_wave.avi 0")
    assert DATASETS["hmdb51"].classes_beside(folder) == ["run", "wave"]
    assert pairs(read("hmdb51", folder, fold=2)) == [("a b!_wave", "wave")]
    table = read("hmdb51", folder, "validation", fold=2)
    assert (
        pairs(table) == [("x_run", "run"), ("c_wave", "wave")]
        and table["path"].tolist()[0] == "run/x_run.avi"
    )
    with pytest.raises(AnnotationError, match=r"no such annotation file as <class>_test_split3\.txt"):
        read("hmdb51", folder, fold=3)
    with pytest.raises(AnnotationError, match="HMDB51 has no split 'extra'"):
        read("hmdb51", folder, "extra")
    text(folder / "run_test_split2.txt", "x_run.avi")
    with pytest.raises(AnnotationError, match=r"row 1: 'x_run.avi' is not `video.avi 0\|1\|2`"):
        read("hmdb51", folder, fold=2)


LISTS = {
    "mmaction2": ("some dir/a.mp4 1", "some dir/a.mp4", "path label"),
    "tsn": ("some dir/a.mp4 300 1", "some dir/a.mp4 300", "path num_frames label"),
    "coviar": ("0 1 some dir/a.mp4", "1 some dir/a.mp4", "index label path"),
}


@pytest.mark.parametrize("name", LISTS)
def test_list_files(name, tmp_path):
    good, bad, form = LISTS[name]
    path = text(tmp_path / "list.txt", good, "")
    assert pairs(read(name, path, classes=["run", "wave"])) == [("some dir/a", "wave")]
    assert pairs(read(name, path)) == [("some dir/a", "1")]
    with pytest.raises(AnnotationError, match=r"list\.txt: row 1: label 1 is not in the class list of 1"):
        read(name, path, classes=["run"])
    if name == "mmaction2":
        assert pairs(read(name, text(path, bad))) == [("some dir/a", "")]
    else:
        with pytest.raises(AnnotationError, match=rf"row 1: '{bad}' is not `{form}`"):
            read(name, text(path, bad))
    with pytest.raises(AnnotationError, match="the file is empty"):
        read(name, text(path, ""))


def test_folders(tmp_path):
    for name in ("train/run/a.mp4", "train/wave/deep/a.avi", "train/loose.mp4", "val/run/a.mp4"):
        text(tmp_path / name, "")
    table = read("folders", tmp_path / "train", root=tmp_path)
    assert pairs(table) == [("train/run/a", "run"), ("train/wave/deep/a", "wave")]
    assert table["path"].tolist() == ["train/run/a.mp4", "train/wave/deep/a.avi"]
    assert pairs(read("folders", tmp_path / "train", root=tmp_path / "train"))[0] == ("run/a", "run")
    with pytest.raises(AnnotationError, match="no such folder for split 'train'"):
        read("folders", tmp_path / "none", root=tmp_path)
    with pytest.raises(AnnotationError, match="lies outside the video root"):
        read("folders", tmp_path / "train", root=tmp_path / "val")
    with pytest.raises(AnnotationError, match="no class folder with videos"):
        read("folders", tmp_path / "val/run", root=tmp_path)


@pytest.fixture
def manifests(tmp_path):
    header = "video_id,path,label,class_index,num_frames"
    train = text(tmp_path / "train.csv", header, "a,x y/a.mp4,run,0,10", "b,b.mp4,wave,1,10")
    test = text(tmp_path / "test.csv", header, "c,c.mp4,,-1,10")
    return [train, test], text(tmp_path / "classes.txt", "run", "wave")


def test_convert_to_mmaction2_and_back(manifests, tmp_path):
    files, classes = manifests
    convert.run(files, classes, tmp_path / "out", to="mmaction2")
    assert (tmp_path / "out/train_list.txt").read_text() == "x y/a.mp4 0\nb.mp4 1\n"
    again = read("mmaction2", tmp_path / "out/train_list.txt", classes=["run", "wave"])
    assert again["path"].tolist() == ["x y/a.mp4", "b.mp4"] and again["label"].tolist() == ["run", "wave"]
    assert read("mmaction2", tmp_path / "out/test_list.txt")["label"].tolist() == [""]


def test_convert_to_the_official_ground_truth(manifests, tmp_path):
    files, classes = manifests
    convert.run(files, classes, tmp_path / "out", to="activitynet")
    document = json.loads((tmp_path / "out/ground_truth.json").read_text())
    assert document["database"]["a"] == {"subset": "training", "annotations": [{"label": "run"}]}
    assert document["database"]["c"] == {"subset": "testing", "annotations": []}
    assert [node["nodeName"] for node in document["taxonomy"]] == ["Root", "run", "wave"]
    assert set(document) == {"version", "taxonomy", "database"}
    again = read_ground_truth(tmp_path / "out/ground_truth.json")
    assert pairs(again) == [("a", "run"), ("b", "wave"), ("c", "")]


def test_convert_refuses_what_it_does_not_know(manifests, tmp_path):
    files, classes = manifests
    with pytest.raises(ValueError, match=r"unknown format 'x'. Known: mmaction2, activitynet"):
        convert.run(files, classes, tmp_path, to="x")
    with pytest.raises(ValueError, match="two manifests have the same file name"):
        convert.run([files[0], files[0]], classes, tmp_path, to="mmaction2")


def test_predictions_and_ground_truth_that_are_none(tmp_path):
    path = text(tmp_path / "p.json", '{"results": {"a": [{"label": "run", "score": 0.9}], "b": []}}')
    ids, labels, scores = read_predictions(path)
    assert (ids, labels) == (["a", "b"], ["run"]) and scores[0, 0] == 0.9
    for content, reader, message in (
        ("[]", read_predictions, "not a JSON object"),
        ("{", read_predictions, "not JSON"),
        ("{}", read_predictions, "no 'results'"),
        ('{"results": {"a": [{"label": "x"}]}}', read_predictions, "not a list of label and score"),
        ("{}", read_ground_truth, "no 'database'"),
        ('{"database": {"a": {}}}', read_ground_truth, "row 1: entry 'a' has no subset"),
    ):
        with pytest.raises(AnnotationError, match=rf"p\.json: .*{message}"):
            reader(text(path, content))


def test_kinetics_runs_through_the_manifest_stage(tmp_path):
    from pathlib import Path

    from lgdnet.manifest import read_manifest
    from lgdnet.settings import DatasetSettings, ManifestSettings
    from lgdnet.stages import manifest as stage

    root = tmp_path / "videos"
    write_video(root / "run/abcdefghijk_000001_000011.mp4", 5)
    path = text(
        tmp_path / "k.csv", "label,youtube_id,time_start,time_end,split", "run,abcdefghijk,1,11,train"
    )
    stage.run(
        DatasetSettings(format="kinetics-csv", video_root=root, annotations={"train": path}),
        ManifestSettings(), Path(), tmp_path / "m", num_workers=1,
    )  # fmt: skip
    found = read_manifest(tmp_path / "m/train.csv")
    assert found.video_ids.tolist() == ["abcdefghijk_1_11"]
    assert found.paths.tolist() == ["run/abcdefghijk_000001_000011.mp4"]
