"""Scores of other tools come in whole and by id, and a pickle never runs anything."""

import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from lgdnet.scores import ScoresError, read_scores, softmax
from lgdnet.scores.plain_pickle import read_plain_pickle
from lgdnet.stages import import_scores

CLASSES = ["run", "jump", "sing"]
IDS = ["a", "b", "c", "d"]
LOGITS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    (tmp_path / "m.csv").write_text("video_id,class_index\n" + "".join(f"{v},0\n" for v in IDS))
    return {"ids": tmp_path / "ids.txt", "classes": tmp_path / "classes.txt"}


def save(path: Path, kind: str):
    if path.suffix == ".npy":
        np.save(path, LOGITS)
    elif path.suffix == ".npz":
        np.savez(path, scores=LOGITS, names=np.array(IDS), classes=np.array(CLASSES))
    elif path.suffix == ".csv":
        lines = [",".join(["id", *CLASSES])] + [
            ",".join([v, *map(repr, map(float, r))]) for v, r in zip(IDS, LOGITS, strict=True)
        ]
        path.write_text("\n".join(lines))
    else:
        data = {
            "list": list(LOGITS),
            "lists": LOGITS.tolist(),
            "array": LOGITS,
            "fortran": np.asfortranarray(LOGITS.astype(">f8")),
            "by id": collections.OrderedDict(zip(IDS, LOGITS, strict=True)),
            "named": {"pred": LOGITS, "label": [0, 1, 2, 0]},
        }[kind]
        path.write_bytes(pickle.dumps(data, protocol=2 if kind == "array" else 5))


@pytest.mark.parametrize(
    "kind",
    [
        ".npy",
        ".npz",
        ".csv",
        ".pkl list",
        ".pkl lists",
        ".pkl array",
        ".pkl fortran",
        ".pkl by id",
        ".pkl named",
    ],
)
def test_every_form_gives_the_same_scores(tmp_path, lists, kind):
    ending, _, form = kind.partition(" ")
    path = tmp_path / f"foreign{ending}"
    save(path, form)
    keys = {".npz": {"ids_key": "names", "classes_key": "classes"}, ".csv": {}}.get(ending)
    options = lists if keys is None else keys
    if form == "named":
        options = {**options, "scores_key": "pred"}
    if form == "by id":
        options = {"classes": lists["classes"]}
    import_scores.run(path, tmp_path / "s.h5", **options)
    found = read_scores(tmp_path / "s.h5")
    assert found.video_ids.tolist() == IDS and found.classes == CLASSES and found.kind == "logits"
    np.testing.assert_allclose(found.scores, LOGITS, rtol=1e-6)


def test_columns_come_into_the_order_of_another_class_list(tmp_path, lists):
    np.save(tmp_path / "x.npy", softmax(LOGITS))
    (tmp_path / "order.txt").write_text("sing\nrun\njump\n")
    import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists, class_order=tmp_path / "order.txt")
    found = read_scores(tmp_path / "s.h5")
    assert found.classes == ["sing", "run", "jump"] and found.kind == "scores"
    np.testing.assert_allclose(found.scores, softmax(LOGITS)[:, [2, 0, 1]], rtol=1e-5)
    (tmp_path / "order.txt").write_text("sing\nrun\ncook\n")
    with pytest.raises(
        ScoresError, match=r"x.npy: its classes are not those of --class-order, first difference 'cook'"
    ):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists, class_order=tmp_path / "order.txt")


def test_ids_must_be_the_manifests_and_missing_ones_must_be_told(tmp_path, lists):
    np.save(tmp_path / "x.npy", LOGITS[:3])
    (tmp_path / "ids.txt").write_text("d\nb\na\n")
    with pytest.raises(
        ScoresError, match=r"x.npy: no scores for 1 of 4 videos in .*m.csv, first 'c'. With --allow-missing"
    ):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists, manifest=tmp_path / "m.csv")
    import_scores.run(
        tmp_path / "x.npy", tmp_path / "s.h5", **lists, manifest=tmp_path / "m.csv", allow_missing=True
    )
    assert read_scores(tmp_path / "s.h5").absent.tolist() == ["c"]
    (tmp_path / "ids.txt").write_text("d\n!!!!b\na\n")
    with pytest.raises(
        ScoresError, match=r"x.npy: 1 of its 3 ids are not in .*m.csv, first '!!!!b', and 2 of the manifest"
    ):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists, manifest=tmp_path / "m.csv")


def test_folders_and_endings_of_ids_can_be_dropped(tmp_path, lists):
    np.save(tmp_path / "x.npy", LOGITS)
    (tmp_path / "ids.txt").write_text("".join(f"run/{v}.avi\n" for v in IDS))
    import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists, manifest=tmp_path / "m.csv", stem=True)
    assert read_scores(tmp_path / "s.h5").video_ids.tolist() == IDS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"values": np.where(LOGITS > 1, np.nan, LOGITS)},
            r"x.npy: scores of \d videos are NaN or infinite.* Correct",
        ),
        ({"values": LOGITS[:2]}, r"ids.txt: 4 ids for 2 rows of scores in .*x.npy"),
        ({"values": LOGITS[:, :2]}, r"classes.txt: 3 classes for 2 columns of scores in .*x.npy"),
        ({"values": LOGITS[None]}, r"x.npy: scores of shape \(1, 4, 3\); one row of class scores per video"),
        ({"ids": None}, r"x.npy: no video ids in the file; give --ids"),
        ({"classes": None}, r"x.npy: no class names in the file; give --classes"),
        ({"ids": Path("gone.txt")}, r"gone.txt: no such file; it should hold one name per line"),
        ({"id_list": "a\nb\na\nd"}, r"x.npy: video 'a' occurs 2 times"),
        ({"kind": "scores"}, r"x.npy: scores of 4 videos are no probabilities"),
    ],
)
def test_faults_are_errors_with_the_files_name(tmp_path, lists, change, message):
    change = dict(change)
    np.save(tmp_path / "x.npy", change.pop("values", LOGITS))
    if "id_list" in change:
        (tmp_path / "ids.txt").write_text(change.pop("id_list"))
    with pytest.raises(ScoresError, match=message):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **{**lists, **change})


def test_unknown_endings_and_keys_say_what_there_is(tmp_path, lists):
    with pytest.raises(ScoresError, match=r"x.mat: unknown ending '.mat'; known are .npz, .npy"):
        import_scores.run(tmp_path / "x.mat", tmp_path / "s.h5", **lists)
    with pytest.raises(ScoresError, match=r"x.npz: no such file"):
        import_scores.run(tmp_path / "x.npz", tmp_path / "s.h5", **lists)
    save(tmp_path / "x.npz", "")
    with pytest.raises(
        ScoresError, match=r"x.npz: no array 'pred' \(--scores-key\); it has scores, names, classes"
    ):
        import_scores.run(tmp_path / "x.npz", tmp_path / "s.h5", **lists, scores_key="pred")
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ScoresError, match=r"x.npy: cannot be read without unpickling"):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists)
    (tmp_path / "x.csv").write_text("id,run,jump,sing\na,1,2,hello\n")
    with pytest.raises(ScoresError, match=r"x.csv: scores of 1 videos are NaN"):
        import_scores.run(tmp_path / "x.csv", tmp_path / "s.h5")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([[1.0, 2.0], [1.0]]))
    with pytest.raises(ScoresError, match=r"x.pkl: its rows are not numbers of one length"):
        import_scores.run(tmp_path / "x.pkl", tmp_path / "s.h5", **lists)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "run,jump,sing\na,1,2,3\n",
            "3 names in its first line for 4 columns. The first line names the column",
        ),
        ("a,1.5,2,3\nb,1,2,3\n", "its first line holds scores, not names"),
        ("id;run;jump;sing\na;1;2;3\n", "1 columns in its first line; .* separated by commas"),
        ("id,run,run,sing\na,1,2,3\n", "class 'run' occurs 2 times"),
        ("id,run,jump,sing\na,1,2,3\nb,1,2,3,4\n", "not a table of scores .*line 3"),
        ("id,run,jump,sing\na,1,2\nb,1,2,3\n", "4 names in its first line for 3 columns"),
        ("id,run,jump,sing\n", "no rows under its first line"),
        ("", "0 columns in its first line"),
    ],
)
def test_a_table_without_ids_or_names_is_an_error(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ScoresError, match=f"x.csv: {message}"):
        import_scores.run(tmp_path / "x.csv", tmp_path / "s.h5")


def test_classes_of_a_table_may_be_numbers_that_count(tmp_path):
    (tmp_path / "x.csv").write_text("id,0,1,2\na,1,2,3\n")
    import_scores.run(tmp_path / "x.csv", tmp_path / "s.h5")
    assert read_scores(tmp_path / "s.h5").classes == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            100 * softmax(LOGITS),
            r"its numbers lie within 0..100 but its rows do not sum to 1, the first to 100\. .* kind: logits",
        ),
        (
            np.where(softmax(LOGITS) > 0.4, softmax(LOGITS), 0),
            r"its numbers lie within 0..1 but its rows do not sum to 1",
        ),
        (LOGITS + 1j, r"its rows are not numbers of one length \(they are complex\)"),
        (LOGITS.astype(float) * 1e200, r"scores of 4 videos are NaN or infinite"),
    ],
)
def test_numbers_that_could_mean_anything_are_asked_about(tmp_path, lists, values, message):
    np.save(tmp_path / "x.npy", np.asarray(values, complex if np.iscomplexobj(values) else float))
    with pytest.raises(ScoresError, match=rf"x.npy: {message}"):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists)


def test_what_is_asked_about_can_be_told(tmp_path, lists):
    np.save(tmp_path / "x.npy", 100 * softmax(LOGITS))
    import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists, kind="logits")
    assert read_scores(tmp_path / "s.h5").kind == "logits"


def test_ids_may_be_a_column_or_bytes_but_not_a_table(tmp_path, lists):
    keys = {"ids_key": "ids", "classes": lists["classes"]}
    for ids in (np.array(IDS)[:, None], np.array(["ä", "b", "c", "d"])[:, None], np.char.encode(IDS)):
        np.savez(tmp_path / "x.npz", scores=LOGITS, ids=ids)
        import_scores.run(tmp_path / "x.npz", tmp_path / "s.h5", **keys)
        found = read_scores(tmp_path / "s.h5").video_ids
        assert found.shape == (4,) and found[1:].tolist() == IDS[1:]
    np.savez(tmp_path / "x.npz", scores=LOGITS, ids=np.array([IDS, IDS]))
    with pytest.raises(ScoresError, match=r"x.npz: ids of shape \(2, 4\); a list of names is needed"):
        import_scores.run(tmp_path / "x.npz", tmp_path / "s.h5", **keys)
    np.savez(tmp_path / "x.npz", scores=LOGITS, ids=np.array([b"\xff"] * 4))
    with pytest.raises(ScoresError, match=r"x.npz: ids are not UTF-8"):
        import_scores.run(tmp_path / "x.npz", tmp_path / "s.h5", **keys)


@pytest.mark.parametrize("kept", [0, 60, -30])
@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_a_file_cut_short_is_an_error_with_its_name(tmp_path, lists, ending, kept):
    path = tmp_path / f"x{ending}"
    save(path, "")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ScoresError, match=f"x{ending}: (damaged, or not what its name says|cannot be read)"):
        import_scores.run(path, tmp_path / "s.h5", **lists)


def test_an_archive_called_npy_is_an_error(tmp_path, lists):
    save(tmp_path / "x.npz", "")
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    with pytest.raises(ScoresError, match=r"x.npy: several arrays; rename it to .npz"):
        import_scores.run(tmp_path / "x.npy", tmp_path / "s.h5", **lists)


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


class BadDType:
    def __reduce__(self):
        return np.dtype, ("O8", False, True)


def set_attribute_of_a_name():
    """GLOBAL numpy ndarray, then BUILD with slots: tries to plant an attribute in what the name stands for."""
    return b"cnumpy\nndarray\n(N}S'_make'\nccollections\nOrderedDict\nstb."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Evil()), "names posix.system"),
        (pickle.dumps([LOGITS, Evil()]), "names posix.system"),
        (pickle.dumps(BadDType()), "array of type 'O8'"),
        (pickle.dumps(np.array([{}, None], dtype=object)), "array of type 'O8'"),
        (pickle.dumps(np.zeros(2, [("a", "f4")])), "array of type 'V4'"),
        (pickle.dumps(Path("x")), "names pathlib"),
        (pickle.dumps(bytearray), "holds a Name"),
        (pickle.dumps(np.ndarray), "holds a Name"),
        (pickle.dumps({1, 2}), "holds a set"),
        (set_attribute_of_a_name(), "changes what a name means"),
        (b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.", "makes an empty buffer"),
        (b"cbuiltins\neval\n(S'1+1'\ntR.", "names builtins.eval"),
        (b"cnumpy\nndarray\n(I3\ntR.", "makes an array in an unknown way"),
        (b"not a pickle", "not a readable pickle"),
        (pickle.dumps(LOGITS)[:-40], "not a readable pickle"),
    ],
)
def test_a_pickle_is_data_or_refused(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(ScoresError, match=f"x.pkl: .*{message}"):
        read_plain_pickle(tmp_path / "x.pkl")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol_is_read(tmp_path, protocol):
    data = {
        "x": [LOGITS, LOGITS.T, LOGITS.astype(">f8")],
        "n": 3,
        "f": np.float32(1.5),
        "s": np.array(["ab", "c"]),
        "i": np.int64(7),
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(data, protocol=protocol))
    found = read_plain_pickle(tmp_path / "x.pkl")
    for ours, theirs in zip(found["x"], data["x"], strict=True):
        assert (ours == theirs).all()
    assert (found["n"], found["f"], found["i"], found["s"].tolist()) == (3, 1.5, 7, ["ab", "c"])
