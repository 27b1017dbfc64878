import signal
from functools import partial

import pytest
import torch
from torch import nn

from lgdnet.checkpoint import Checkpoints
from lgdnet.history import read_history
from lgdnet.trainer import due_steps, step_seed

from .toy import toy_batches, toy_model, toy_train


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def rows_of(folder, columns=("step", "split", "loss", "learning_rate", "gradient_norm", "top1")):
    return [tuple(row[column] for column in columns) for row in read_history(folder / "history.csv")]


class CrashError(Exception):
    pass


def batches_that_stop(step, *, after, how):
    for number, batch in enumerate(toy_batches(step, batch_size=8), step):
        if number == after:
            how()
        yield batch


def crash():
    raise CrashError


def test_training_learns(tmp_path):
    toy_train(tmp_path, num_steps=60)
    rows = read_history(tmp_path / "history.csv")
    train = [float(row["loss"]) for row in rows if row["split"] == "train"]
    assert train[-1] < train[0] / 2
    assert float(rows[-1]["top1"]) > 0.9 and rows[-1]["split"] == "validation"


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "average_decay": 0.9, "accumulate": 2}])
def test_a_crashed_run_goes_on_to_the_same_bits_and_the_same_history(tmp_path, changes):
    undisturbed = toy_train(tmp_path / "a", **changes)
    for after in (5, 12, 13, 23, 29):  # checkpoints: every 4 steps and before each validation
        with pytest.raises(CrashError):
            toy_train(
                tmp_path / "b",
                batches_from=partial(batches_that_stop, after=after, how=crash),
                save_every_steps=4,
                **changes,
            )
    resumed = toy_train(tmp_path / "b", save_every_steps=4, **changes)
    assert same(undisturbed, resumed)
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")


def test_a_signal_saves_and_exits_with_the_code_that_is_retried(tmp_path, capfd):
    how = partial(signal.raise_signal, signal.SIGUSR1)
    with pytest.raises(SystemExit) as stopped:
        toy_train(tmp_path / "b", batches_from=partial(batches_that_stop, after=11, how=how), validate=None)
    assert stopped.value.code == 75
    assert "stopped by SIGUSR1 after step 11, saved" in capfd.readouterr().err
    assert Checkpoints(tmp_path / "b" / "checkpoints", identity="toy").latest()[0] == 11
    assert same(toy_train(tmp_path / "b"), toy_train(tmp_path / "a"))
    assert "resumed after step 11" in capfd.readouterr().err


def test_a_signal_during_validation_ends_it_at_once_and_it_is_made_up_for(tmp_path):
    def validate(model):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("still running")

    with pytest.raises(SystemExit) as stopped:
        toy_train(tmp_path, validate=validate)
    assert stopped.value.code == 75
    toy_train(tmp_path)
    assert [row["step"] for row in read_history(tmp_path / "history.csv") if row["split"] == "validation"] == [
        "7", "14", "21", "28", "30",
    ]  # fmt: skip


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = toy_train(tmp_path)
    again = toy_train(tmp_path, batches_from=lambda step: iter(()))
    assert same(first, again)


def test_a_run_in_phases_equals_one_run(tmp_path):
    model = toy_model()
    toy_train(tmp_path / "phases", model=model, stop_at=11)
    assert same(toy_train(tmp_path / "phases", model=toy_model(seed=5)), toy_train(tmp_path / "whole"))


def test_dropout_differs_between_steps_ranks_and_seeds():
    seeds = {step_seed(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(4)}
    assert len(seeds) == 600


def test_validation_is_due_at_every_interval_and_at_the_end():
    assert due_steps(10, 25) == {10, 20, 25} and due_steps(0, 25) == {25}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_and_resumes_exactly(tmp_path, precision):
    whole = toy_train(tmp_path / "a", precision=precision, num_steps=30)
    toy_train(tmp_path / "b", precision=precision, num_steps=30, stop_at=17)
    assert same(whole, toy_train(tmp_path / "b", model=toy_model(seed=9), precision=precision, num_steps=30))
    assert float(read_history(tmp_path / "a" / "history.csv")[-1]["top1"]) > 0.8


def test_channels_innermost_give_the_same_result(tmp_path):
    plain, turned = toy_train(tmp_path / "a"), toy_train(tmp_path / "b", channels_last=True)
    assert turned.conv.weight.is_contiguous(memory_format=torch.channels_last_3d)
    for a, b in zip(plain.parameters(), turned.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
