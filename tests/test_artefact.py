import json
import os
import stat

import numpy as np
import pytest
from safetensors.numpy import save_file

from lgdnet import artefact
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


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_colleagues_may_read_what_the_umask_lets_them_read(tmp_path, monkeypatch, umask):
    monkeypatch.setattr(artefact, "UMASK", umask)
    path = tmp_path / "model.safetensors"
    with atomic(path) as tmp:
        save_file({"weights": np.zeros(3, np.float32)}, tmp)
        tmp.chmod(0o600)  # as some versions of safetensors leave it
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_the_umask_is_as_it_was_and_known():
    before = os.umask(0o022)
    os.umask(before)
    assert before == artefact.UMASK


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
