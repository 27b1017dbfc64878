import json

import pytest

from lgdnet.artefact import atomic, code_version, digest, file_digest, provenance, write_json


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as tmp:
        tmp.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.txt"]


def test_a_finished_write_takes_the_place_of_the_old_file(tmp_path):
    path = tmp_path / "new folder" / "scores.txt"
    with atomic(path) as tmp:
        assert tmp.parent == path.parent
        tmp.write_text("whole")
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["scores.txt"]


def test_json_is_written_with_sorted_keys(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    assert (tmp_path / "a.json").read_text() == '{\n "a": "ü",\n "b": 1\n}\n'


def test_the_digest_does_not_depend_on_key_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_file_digest_is_its_sha256(tmp_path):
    (tmp_path / "empty").touch()
    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_provenance_carries_settings_inputs_and_version():
    carried = provenance({"width": 8}, {"model.safetensors": "abc"})
    assert json.loads(carried["settings"]) == {"width": 8}
    assert json.loads(carried["inputs"]) == {"model.safetensors": "abc"}
    assert carried["code_version"] == code_version()
    assert carried["code_version"].startswith("0.")
