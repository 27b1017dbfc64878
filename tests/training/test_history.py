import builtins
import errno
import os
import sys
import types
from functools import partial
from pathlib import Path

import pytest

from lgdnet.errors import InputError
from lgdnet.history import History, open_trackers, read_history
from lgdnet.watch import Times


def filled(path, steps):
    history = History(path)
    history.cut(0)
    for step in steps:
        history.add(step=step, epoch=step / 10, split="train", loss=1 / 3)
    return history


def test_rows_survive_a_cut_line_and_go_beyond_the_resumed_step(tmp_path):
    history = filled(tmp_path / "history.csv", [5, 10, 15])
    with history.path.open("a") as file:
        file.write("20,2,train,0.1")
    assert [row["step"] for row in read_history(history.path)] == ["5", "10", "15"]
    history.cut(10)
    history.add(step=15, epoch=1.5, split="validation", top1=0.5)
    rows = read_history(history.path)
    assert [row["step"] for row in rows] == ["5", "10", "15"]
    assert rows[0]["loss"] == "0.333333333" and rows[0]["top1"] == "" and rows[2]["top1"] == "0.5"
    assert history.has_validation(15) and not history.has_validation(10)


@pytest.mark.parametrize("damage", [b"15,\xff\xfe,train\n", b"x" + b"," * 11 + b"\n", b"\0\0\n", b"7,1\n"])
def test_a_damaged_line_is_left_out_with_a_warning(tmp_path, damage, capfd):
    history = filled(tmp_path / "history.csv", [5, 10])
    history.path.write_bytes(history.path.read_bytes() + damage)
    history.add(step=15, epoch=1.5, split="train")
    history.cut(15)
    assert [row["step"] for row in read_history(history.path)] == ["5", "10", "15"]
    assert "history.csv: 1 damaged lines, left out" in capfd.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_for_rows_and_for_trackers(tmp_path, number):
    def full(*_, **__):
        raise OSError(number, os.strerror(number))

    class FullTracker:
        log = close = full

    history = History(tmp_path / "history.csv", lambda step: [FullTracker()])
    history.cut(0)
    with pytest.raises(InputError, match=r"not written, the disk is full. Free some space and start again"):
        history.add(step=1, split="train", loss=0.5)
    with pytest.raises(InputError, match="the disk is full"):
        history.close()


def test_a_full_disk_is_one_line_for_history_csv():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(InputError, match=r"full: not written, the disk is full"):
        History(Path("/dev/full")).add(step=1, split="train", loss=0.5)


def test_a_fresh_run_forgets_an_old_history(tmp_path):
    history = filled(tmp_path / "history.csv", [5])
    history.cut(0)
    assert read_history(history.path) == []


def test_an_unknown_column_is_an_error(tmp_path):
    with pytest.raises(KeyError, match=r"'accuracy' is no column of history.csv"):
        filled(tmp_path / "history.csv", []).add(step=1, split="train", accuracy=0.5)


def test_tensorboard_gets_the_same_points_and_hides_what_is_trained_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resume, steps in ((0, [5, 10, 15]), (10, [15])):
        history = History(tmp_path / "history.csv", partial(open_trackers, ("tensorboard",), tmp_path, "toy"))
        history.cut(resume)
        for step in steps:
            history.add(step=step, split="train", loss=float(step + resume))
        history.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        (5, 5.0),
        (10, 10.0),
        (15, 25.0),
    ]


def test_a_tracker_that_is_not_installed_is_an_error_and_no_silence(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_wandb(name, *arguments, **kwargs):
        if name == "wandb":
            raise ImportError(name)
        return real(name, *arguments, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_wandb)
    with pytest.raises(
        InputError, match="trackers: 'wandb' is asked for but not installed: pip install wandb"
    ):
        open_trackers(("wandb",), tmp_path, "toy", 0)
    with pytest.raises(InputError, match="trackers: 'comet' is unknown; known: tensorboard, wandb, mlflow"):
        open_trackers(("comet",), tmp_path, "toy", 0)


class ServiceRun:
    """A stand-in for a run of W&B or MLflow, whose services need an account."""

    def __init__(self, calls, number):
        self.calls = calls
        self.info = types.SimpleNamespace(run_id=f"run{number}")

    def log(self, values, step):
        self.calls.append((values, step))

    def finish(self):
        self.calls.append("finish")


def test_a_resumed_run_joins_its_run_of_weights_and_biases_and_a_new_one_does_not(tmp_path, monkeypatch):
    calls, begun = [], []
    fake = types.ModuleType("wandb")
    fake.init = lambda **arguments: begun.append(arguments) or ServiceRun(calls, 0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for step in (0, 10, 0):
        (tracker,) = open_trackers(("wandb",), tmp_path, "sample/frame16", step)
        tracker.log(20, {"train/loss": 0.5})
        tracker.close()
    first, resumed, anew = (arguments["id"] for arguments in begun)
    assert first == resumed != anew
    assert begun[0]["name"] == "sample/frame16" and begun[0]["resume"] == "allow"
    assert calls[:2] == [({"train/loss": 0.5}, 20), "finish"]


def test_a_resumed_run_joins_its_run_of_mlflow(tmp_path, monkeypatch):
    begun = []
    fake = types.ModuleType("mlflow")
    fake.start_run = lambda run_id, run_name: begun.append(run_id) or ServiceRun([], len(begun))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    for step in (0, 10, 0):
        open_trackers(("mlflow",), tmp_path, "sample/frame16", step)
    assert begun == [None, "run1", None]


@pytest.mark.parametrize(
    ("times", "cause"),
    [
        (Times(wall=10, data=6, copy=1, model=4, clips=100), "data"),
        (Times(wall=10, data=0.5, copy=6, model=4, clips=100), "copies from host to device"),
        (Times(wall=10, data=3, copy=9, model=9.5, clips=100), "the model"),
    ],
)
def test_the_last_line_names_what_the_device_stood_still_for(times, cause):
    assert times.bound().startswith(f"bounded by {cause}: 10 clips/s; model ")
