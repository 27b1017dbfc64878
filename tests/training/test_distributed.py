"""Several processes are one: the same gradients, the same scores, the same history."""

import os
import signal
import socket
import time
from datetime import timedelta

import pytest
import torch

from lgdnet.checkpoint import CheckpointError, Checkpoints
from lgdnet.distributed import (
    ALONE,
    Ranks,
    gathered,
    highest,
    meet,
    meeting_name,
    my_batches,
    pick_device,
    ranks_from,
    same_buffers,
    summed,
)
from lgdnet.errors import InputError
from lgdnet.history import read_history

from .processes import in_processes
from .toy import toy_batches, toy_model, toy_train

CALM = {"num_steps": 12, "batch_norm": "frozen", "validate_every": 6}  # no dropout, no batch statistics


def weights_of(model) -> dict[str, list]:
    return {name: value.tolist() for name, value in model.state_dict().items()}


def largest_difference(a, b) -> float:
    return max(float((torch.tensor(a[name]) - torch.tensor(b[name])).abs().max()) for name in a)


def test_adding_up_four_parts_of_eight_is_a_batch_of_thirty_two(tmp_path):
    runs = [
        weights_of(
            toy_train(
                tmp_path / str(parts), model=toy_model(dropout=0.0), batch_size=32, accumulate=parts, **CALM
            )
        )
        for parts in (1, 4)
    ]
    untouched = weights_of(toy_model(dropout=0.0))
    difference, moved = largest_difference(*runs), largest_difference(runs[0], untouched)
    print(f"\n4 x 8 against 32: weights differ by {difference:.1e}; training moved them by {moved:.2f}")
    assert difference < 1e-6 and moved > 0.05


def test_two_processes_are_one_with_the_double_batch(tmp_path):
    def half(ranks):
        return weights_of(
            toy_train(tmp_path / "two", model=toy_model(dropout=0.0), batch_size=16, ranks=ranks, **CALM)
        )

    first, second = in_processes(2, half, tmp_path)
    alone = weights_of(toy_train(tmp_path / "one", model=toy_model(dropout=0.0), batch_size=16, **CALM))
    difference = largest_difference(first, alone)
    print(f"\n2 processes x 8 against 16: weights differ by {difference:.1e}")
    assert first == second and difference < 1e-6
    histories = [read_history(tmp_path / name / "history.csv") for name in ("one", "two")]
    for ours, theirs in zip(*histories, strict=True):
        assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), abs=1e-6)


def test_two_processes_and_two_parts_each_are_one_with_the_whole_batch(tmp_path):
    def quarter(ranks):
        model = toy_model(dropout=0.0)
        return weights_of(
            toy_train(tmp_path / "two", model=model, batch_size=16, ranks=ranks, accumulate=2, **CALM)
        )

    alone = weights_of(toy_train(tmp_path / "one", model=toy_model(dropout=0.0), batch_size=16, **CALM))
    assert largest_difference(in_processes(2, quarter, tmp_path)[0], alone) < 1e-6


def scores_of(num_rows, batch_size):
    """Scores of made-up clips by a network with convolutions, whose last bits depend on the batch they are in."""
    clips = torch.rand(num_rows, 3, 2, 6, 6, generator=torch.Generator().manual_seed(3))
    model = toy_model(seed=4).eval()
    with torch.no_grad():
        parts = {
            index: model(clips[index * batch_size : (index + 1) * batch_size])
            for index in my_batches(num_rows, batch_size)
        }
    return gathered(parts, num_rows=num_rows, batch_size=batch_size, width=3)


@pytest.mark.parametrize("num_rows", [23, 5, 1])
def test_evaluation_gives_the_same_bits_on_one_two_and_three_processes(tmp_path, num_rows):
    alone = scores_of(num_rows, 4)
    assert alone.shape == (num_rows, 3) and (alone.abs().sum(1) > 0).all()
    for world_size in (2, 3):
        for scores in in_processes(
            world_size, lambda _: scores_of(num_rows, 4).tolist(), tmp_path / str(world_size)
        ):
            assert torch.equal(torch.tensor(scores), alone)


def stopped_together(folder):
    """Two processes, stopped after step 8 with checkpoints after 6 and 8."""

    def start(ranks):
        toy_train(folder, model=toy_model(dropout=0.0), ranks=ranks, stop_at=8, **CALM)

    in_processes(2, start, folder / "a")


def test_a_process_that_cannot_read_the_checkpoint_ends_all_with_its_name(tmp_path):
    stopped_together(tmp_path)

    def go_on(ranks):
        checkpoints = Checkpoints(tmp_path / "checkpoints", identity="toy" if ranks.first else "other")
        with pytest.raises(CheckpointError) as raised:
            toy_train(tmp_path, ranks=ranks, checkpoints=checkpoints, **CALM)
        return str(raised.value)

    first, second = in_processes(2, go_on, tmp_path / "b")
    assert first == second and f"process 1 on {socket.gethostname()}: " in first
    assert (
        "step-00000008.safetensors: made with other settings" in first
        and "Start again to go on after step 8" in first
    )


def test_all_processes_go_back_to_the_checkpoint_that_the_first_finds_whole(tmp_path, monkeypatch):
    """The first cannot read the newest one, the other can."""
    stopped_together(tmp_path)
    read = Checkpoints.read

    def go_on(ranks):
        def damaged_for_the_first(self, path):
            if ranks.first and path.name == "step-00000008.safetensors":
                raise CheckpointError(f"{path}: damaged.")
            return read(self, path)

        monkeypatch.setattr(Checkpoints, "read", damaged_for_the_first)
        starts = []

        def batches_from(step):
            starts.append(step)
            return toy_batches(step, batch_size=8, ranks=ranks)

        model = toy_model(dropout=0.0)
        return weights_of(
            toy_train(tmp_path, model=model, ranks=ranks, batches_from=batches_from, **CALM)
        ), starts

    (first, start), (second, other_start) = in_processes(2, go_on, tmp_path / "b")
    assert start == other_start == [6] and first == second


def test_a_signal_to_all_is_obeyed_while_one_of_them_waits_for_data(tmp_path):
    def interrupted(ranks):
        def batches_from(step):
            for number, batch in enumerate(toy_batches(step, batch_size=8, ranks=ranks), step):
                if number == 4:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(60 * ranks.rank)  # the other one waits for this process
                yield batch

        with pytest.raises(SystemExit) as stopped:
            toy_train(tmp_path, ranks=ranks, batches_from=batches_from, **CALM)
        return stopped.value.code

    assert in_processes(2, interrupted, tmp_path / "a") == [75, 75]
    assert Checkpoints(tmp_path / "checkpoints", identity="toy").latest()[0] == 4


def test_all_processes_do_the_highest_wish_and_share_sums_and_buffers(tmp_path):
    def agree(ranks):
        model = toy_model()
        model.bn.running_mean.fill_(ranks.rank + 1)
        same_buffers(model)
        return highest(ranks.rank), summed([1.0, float(ranks.rank)]), float(model.bn.running_mean[0])

    assert in_processes(2, agree, tmp_path) == [(1, [2.0, 1.0], 1.0)] * 2


def test_without_torchrun_and_slurm_a_process_is_alone():
    assert ranks_from({}) == ALONE and ALONE.first
    assert ranks_from({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}) == ALONE


def test_torchrun_tells_before_slurm():
    torchrun = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
    slurm = {"SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    assert ranks_from(torchrun | slurm) == Ranks(3, 1, 4)
    assert ranks_from(slurm) == Ranks(1, 0, 2)


def test_an_incomplete_environment_is_an_error():
    with pytest.raises(
        InputError, match="RANK is set but LOCAL_RANK is not: start the processes with torchrun or srun"
    ):
        ranks_from({"RANK": "0", "WORLD_SIZE": "2"})


def test_more_processes_than_gpus_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto", 1) == torch.device("cuda", 1)
    with pytest.raises(InputError, match="process 2 of this node needs a GPU, but there are 2: start fewer"):
        pick_device("cuda", 2)


def test_rank_zero_that_never_comes_is_an_error(tmp_path):
    with pytest.raises(
        InputError, match=r"meeting.txt: rank 0 did not write it in 0 s; is the folder shared\?"
    ):
        meet(tmp_path, Ranks(1, 1, 2), "meeting", timeout=timedelta(seconds=0.2))


def test_a_requeued_job_meets_under_another_name():
    job = {"SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0"}
    assert meeting_name(job) == "meeting-12-0-0"
    assert meeting_name(job | {"SLURM_RESTART_COUNT": "1"}) == "meeting-12-0-1"
