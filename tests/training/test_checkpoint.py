import fcntl
import multiprocessing
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch

from lgdnet.checkpoint import (
    CheckpointError,
    Checkpoints,
    only_one,
    packed,
    read_model,
    unpacked,
    write_model,
)


def flip_a_byte(path, position=-5):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_model_file_returns_weights_and_text(tmp_path):
    weights = {"a.weight": torch.randn(3, 4), "b": torch.tensor(7), "empty": torch.zeros(0, 2)}
    write_model(tmp_path / "model.safetensors", weights, {"classes": '["jump"]'})
    back, metadata = read_model(tmp_path / "model.safetensors")
    assert back.keys() == weights.keys() and all(torch.equal(back[name], weights[name]) for name in weights)
    assert metadata["classes"] == '["jump"]' and metadata["code_version"]


def test_views_and_shared_weights_are_written_whole(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    weights = {"row": base[1], "turned": base.t(), "tied": base, "tied_too": base}
    write_model(tmp_path / "m", weights)
    back, _ = read_model(tmp_path / "m")
    assert all(torch.equal(back[name], weights[name]) for name in weights)


def test_a_flipped_bit_a_cut_file_and_a_missing_one_are_errors(tmp_path):
    path = tmp_path / "model.safetensors"
    write_model(path, {"a": torch.ones(100)})
    flip_a_byte(path)
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: damaged, its values do not match its digest"
    ):
        read_model(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=r"model.safetensors: damaged \("):
        read_model(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_model(tmp_path / "nothing")


def test_a_training_checkpoint_is_no_model_file(tmp_path):
    path = Checkpoints(tmp_path).save(1, {"a": torch.ones(1)})
    with pytest.raises(CheckpointError, match="format 'lgdnet-training-1' where 'lgdnet-model-1' is needed"):
        read_model(path)


def test_any_state_survives_packing():
    state = {
        0: {"buffer": torch.ones(2), "step": 3},
        "groups": [{"lr": 0.1, "betas": [0.9, 0.999]}],
        "none": None,
    }
    tensors, skeleton = packed(OrderedDict(state))
    back = unpacked(skeleton, tensors)
    assert back[0]["buffer"] is state[0]["buffer"]
    assert back["groups"] == state["groups"] and back["none"] is None and back[0]["step"] == 3


def test_two_checkpoints_are_kept_and_the_newest_is_found(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20, 30):
        checkpoints.save(step, {"value": torch.tensor(step)})
    assert [path.name for path in checkpoints.paths()] == [
        "step-00000030.safetensors",
        "step-00000020.safetensors",
    ]
    step, state = checkpoints.latest()
    assert step == 30 and int(state["value"]) == 30


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_with_a_warning(tmp_path, capfd):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, {"value": torch.tensor(10)})
    flip_a_byte(checkpoints.save(20, {"value": torch.tensor(20)}))
    assert checkpoints.latest()[0] == 10
    assert "warning: " in (text := capfd.readouterr().err) and "step-00000020.safetensors: damaged" in text


def test_any_damage_in_the_header_is_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, {"value": torch.tensor(10)})
    path = checkpoints.save(20, {"value": torch.tensor(20), "names": ["a", 3]})
    whole = path.read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    for position in range(length):
        for bit in (0, 5):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            found = checkpoints.latest()
            assert found[0] == 10 or found[1]["names"] == ["a", 3], position
        checkpoints.make_room()
        assert len(checkpoints.paths()) == 2
    path.write_bytes(whole)
    assert checkpoints.latest()[0] == 20


def test_checkpoints_of_other_settings_lie_aside_and_come_back_with_their_figures(tmp_path, capfd):
    folder, history = tmp_path / "checkpoints", tmp_path / "history.csv"
    first, second = Checkpoints(folder, identity="first"), Checkpoints(folder, identity="second")
    first.save(50, {"value": torch.tensor(50)})
    history.write_text("of the first")
    assert second.latest() is None
    assert "made with other settings or data; not resumed from" in capfd.readouterr().err
    second.make_room()
    assert "old-first: checkpoints made with other settings" in capfd.readouterr().err
    assert second.paths() == [] and not history.exists()
    second.save(10, {"value": torch.tensor(10)})
    history.write_text("of the second")
    first.make_room()
    assert "took back the checkpoints made with these settings" in capfd.readouterr().err
    step, state = first.latest()
    assert step == 50 and int(state["value"]) == 50 and history.read_text() == "of the first"
    assert sorted(path.name for path in (folder / "old-second").iterdir()) == [
        "history.csv", "step-00000010.safetensors",
    ]  # fmt: skip
    assert not (folder / "old-first").exists()


def test_a_damaged_checkpoint_is_of_no_other_run(tmp_path):
    ours = Checkpoints(tmp_path, identity="ours")
    flip_a_byte(Checkpoints(tmp_path, identity="other").save(50, {"value": torch.tensor(50)}))
    ours.make_room()
    assert [path.name for path in ours.folder.iterdir()] == ["step-00000050.safetensors"]


def test_a_changed_detail_is_a_warning(tmp_path, capfd):
    Checkpoints(tmp_path, details={"train.accumulate": 1}).save(3, {"value": torch.tensor(3)})
    assert Checkpoints(tmp_path, details={"train.accumulate": 2}).latest()[0] == 3
    assert "made with train.accumulate 1, now 2; training goes on from it" in capfd.readouterr().err
    assert Checkpoints(tmp_path, details={"train.accumulate": 1}).latest()[0] == 3
    assert capfd.readouterr().err == ""


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    (tmp_path / "step-00000010.safetensors.123.tmp").write_bytes(b"half")
    Checkpoints(tmp_path).make_room()
    assert list(tmp_path.iterdir()) == []


def hold(folder, taken, release):
    with only_one(folder):
        taken.set()
        release.wait(20)


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    context = multiprocessing.get_context("fork")
    taken, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, taken, release))
    other.start()
    try:
        assert taken.wait(20)
        with (
            pytest.raises(CheckpointError, match="another process is training here"),
            only_one(tmp_path, patience_sec=0.3),
        ):
            pass
    finally:
        release.set()
        other.join()
    with only_one(tmp_path, patience_sec=5):
        pass


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capfd):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with only_one(tmp_path):
        pass
    assert "this file system has no locks" in capfd.readouterr().err


def test_the_same_weights_and_texts_give_the_same_bytes(tmp_path):
    """In processes of their own: the order of a hash map is drawn anew in each."""
    code = """
import sys, torch
from pathlib import Path
from lgdnet.checkpoint import write_model
about = {name: name.upper() for name in "abcdefgh"}
write_model(Path(sys.argv[1]), {"w": torch.arange(4.0), "b": torch.ones(2)}, about)
"""
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path in paths:
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert len({path.read_bytes() for path in paths}) == 1
