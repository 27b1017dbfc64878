import csv
import json
import multiprocessing
import os
import signal
import subprocess
import time
from functools import partial

import pytest
import torch
from torch.utils.data import Dataset

from lgdnet.checkpoint import Checkpoints
from lgdnet.loader import batches as loader
from lgdnet.loader.batches import load
from lgdnet.video.reader import VideoError
from lgdnet.watch import TrainingError

from .toy import ToyNet, toy_batches, toy_model, toy_train, toy_transform

POISONED_ROW = 17


def poison(batch, device, rows=(POISONED_ROW,)):
    """A transform that turns some videos' clips into NaN."""
    clip, target = toy_transform(batch, device)
    clip[torch.isin(batch.row, torch.tensor(rows))] = float("nan")
    return clip, target


VIDEO_IDS = [f"video{row:02}" for row in range(48)]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_poisoned_clip_is_left_out_and_named(tmp_path, optimizer, capfd):
    model = toy_train(tmp_path, transform=poison, video_ids=VIDEO_IDS, optimizer=optimizer, num_steps=30)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    lines = (tmp_path / "bad_steps.csv").read_text().splitlines()
    assert len(lines) == 1 + 5  # five epochs, the clip once in each
    assert all("video17" in line and ",nan," in line for line in lines[1:])
    assert "step left out. Videos: " in capfd.readouterr().err


def test_a_step_that_is_left_out_changes_nothing(tmp_path):
    """Weights, momentum and running statistics: training on with the bad step or without it is the same."""
    everything_bad = partial(poison, rows=tuple(range(48)))
    model = toy_model(dropout=0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    toy_train(tmp_path, model=model, transform=everything_bad, num_steps=5, max_bad_in_row=6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_step_that_is_left_out_does_not_move_the_running_average(tmp_path):
    toy_train(tmp_path, average_decay=0.99, stop_at=10)
    _, state = Checkpoints(tmp_path / "checkpoints", identity="toy").latest()
    everything_bad = partial(poison, rows=tuple(range(48)))
    average = toy_train(
        tmp_path, average_decay=0.99, stop_at=15, transform=everything_bad, max_bad_in_row=6
    ).state_dict()
    assert all(torch.equal(value, average[name]) for name, value in state["average"].items())


class CrashError(Exception):
    pass


def test_bad_steps_that_are_trained_again_stand_there_once(tmp_path):
    def crashing(step):
        for number, batch in enumerate(toy_batches(step, batch_size=8), step):
            if number == 14:
                raise CrashError
            yield batch

    names = [f'a, "b" {row}' for row in range(48)]
    settings = {"transform": poison, "num_steps": 18, "validate_every": 9, "video_ids": names}
    with pytest.raises(CrashError):
        toy_train(tmp_path, batches_from=crashing, **settings)
    toy_train(tmp_path, **settings)
    rows = list(csv.DictReader((tmp_path / "bad_steps.csv").open(newline="")))
    assert len(rows) == len({row["step"] for row in rows}) == 3  # one of each epoch
    assert all(names[POISONED_ROW] in json.loads(row["video_ids"]) for row in rows)
    toy_train(tmp_path, **{**settings, "transform": toy_transform}, checkpoints=Checkpoints(tmp_path / "new"))
    assert not (tmp_path / "bad_steps.csv").exists()


def test_too_many_bad_steps_in_a_row_stop_the_run(tmp_path):
    with pytest.raises(
        TrainingError, match=r"step 2: loss nan, .* step number 3 in a row that is not finite.*learning_rate"
    ):
        toy_train(tmp_path, transform=partial(poison, rows=tuple(range(48))), max_bad_in_row=3)
    assert len((tmp_path / "bad_steps.csv").read_text().splitlines()) == 4


class GreedyNet(ToyNet):
    """Asks for more memory than there is."""

    def forward(self, clip):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_out_of_memory_says_what_was_measured_and_what_to_lower(tmp_path):
    expected = r"out of memory on cpu with 4 clips of \(3, 2, 6, 6\).*Tried to allocate 20.00 GiB.*train.accumulate \(now 2"
    with pytest.raises(TrainingError, match=expected):
        toy_train(tmp_path, model=GreedyNet(), accumulate=2)


@pytest.mark.parametrize(
    ("batch_norm", "effect"),
    [("frozen", "the result stays the same"), ("frozen-but-first", "each part has its own normalisation")],
)
def test_out_of_memory_says_what_accumulating_changes(tmp_path, batch_norm, effect):
    with pytest.raises(TrainingError, match=rf"train.accumulate \(now 1; {effect}"):
        toy_train(tmp_path, model=GreedyNet(), batch_norm=batch_norm)


def steep_loss(logits, target):
    """Its gradient, times the first loss scale, is more than fp16 holds."""
    return 3000 * torch.nn.functional.cross_entropy(logits, target)


def test_overflow_while_the_fp16_scale_is_found_is_no_bad_step(tmp_path):
    toy_train(tmp_path, loss=steep_loss, precision="fp16", num_steps=12, max_bad_in_row=1, peak=1e-5)
    assert not (tmp_path / "bad_steps.csv").exists()
    _, state = Checkpoints(tmp_path / "checkpoints", identity="toy").latest()
    assert state["scaler"]["scale"] < 65536  # it did overflow


def endless_gradient(logits, target):
    """A finite loss whose gradient never is."""
    return torch.nn.functional.cross_entropy(logits, target) + (logits * 0).sum().abs().sqrt()


def test_fp16_gradients_that_are_never_finite_stop_the_run(tmp_path):
    with pytest.raises(TrainingError, match=r"step 34: .* step number 5 in a row that is not finite"):
        toy_train(tmp_path, loss=endless_gradient, precision="fp16", num_steps=60, max_bad_in_row=5)
    assert len((tmp_path / "bad_steps.csv").read_text().splitlines()) == 1 + 5


@pytest.mark.parametrize(
    "error", [MemoryError("host"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_host_memory_is_explained_too(tmp_path, error):
    class Greedy(ToyNet):
        def forward(self, clip):
            raise error

    with pytest.raises(TrainingError, match=r"out of memory on cpu with 8 clips"):
        toy_train(tmp_path, model=Greedy())


OF_MANY_KINDS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("unable to mmap 128 bytes from file </torch>: Cannot allocate memory (12)"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OF_MANY_KINDS)
def test_out_of_memory_has_many_names_and_places(tmp_path, error):
    def fail(*_):
        raise error
        yield

    with pytest.raises(TrainingError, match=r"out of memory on cpu with 8 clips"):
        toy_train(tmp_path, transform=lambda *_: next(fail()))
    with pytest.raises(TrainingError, match=r"out of memory on cpu where batches are made.*--num-workers"):
        toy_train(tmp_path, batches_from=fail)
    with pytest.raises(TrainingError, match=r"out of memory on cpu in validation .*train.accumulate"):
        toy_train(tmp_path, validate=lambda model: next(fail()))


def test_another_error_is_not_taken_for_memory(tmp_path):
    def fail(*_):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        toy_train(tmp_path, transform=fail)


def out_of_memory():
    raise MemoryError


def unreadable():
    raise VideoError("v3.mp4: cannot be opened. Probe it again.")


def test_a_loader_worker_without_memory_is_explained(tmp_path):
    clips = ClipsOfAWorker({2: out_of_memory})
    with pytest.raises(TrainingError, match=r"where batches are made and copied \(Caught MemoryError"):
        toy_train(tmp_path, batches_from=lambda step: load(clips, range(step, 99), num_workers=1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_video_that_a_worker_cannot_read_is_one_line(tmp_path, num_workers):
    clips = ClipsOfAWorker({2: unreadable})
    with pytest.raises(VideoError) as raised:
        toy_train(tmp_path, batches_from=lambda step: load(clips, range(step, 99), num_workers=num_workers))
    assert str(raised.value) == "v3.mp4: cannot be opened. Probe it again."


class ClipsOfAWorker(Dataset):
    """The toy's batches, made by a forked process; `at_step` does something in that process first."""

    def __init__(self, at_step=None):
        self.at_step = at_step or {}

    def __getitem__(self, step):
        self.at_step.get(step, lambda: None)()
        return next(toy_batches(step, batch_size=8))


def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_loader_worker_is_an_error_and_no_hang(tmp_path):
    clips = ClipsOfAWorker({3: kill_oneself})
    with pytest.raises(TrainingError, match=r"a loader worker died: .*lower num_workers"):
        toy_train(tmp_path, batches_from=lambda step: load(clips, range(step, 99), num_workers=1))


def hang():
    time.sleep(600)


def test_a_signal_while_a_worker_hangs_saves_and_exits(tmp_path):
    """In a process of its own, so that its end counts too."""
    process = multiprocessing.get_context("fork").Process(
        target=train_with_a_worker_that_hangs, args=(tmp_path,)
    )
    process.start()
    begin = time.monotonic()
    while not (tmp_path / "checkpoints" / "step-00000003.safetensors").exists():
        assert time.monotonic() - begin < 120
        time.sleep(0.05)
    time.sleep(0.5)  # it waits now
    os.kill(process.pid, signal.SIGTERM)
    process.join(15)
    assert process.exitcode == 75


def train_with_a_worker_that_hangs(folder):
    clips = ClipsOfAWorker({3: hang})
    loaded = partial(load, clips, num_workers=2)
    toy_train(folder, save_every_steps=3, batches_from=lambda step: loaded(range(step, 99)), validate=None)


def test_a_worker_that_hangs_is_an_error_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "PATIENCE_SEC", 1.0)
    with pytest.raises(
        TrainingError, match=r"step 3: no loader worker made a batch \(DataLoader timed out after 1"
    ):
        train_with_a_worker_that_hangs(tmp_path)


def test_a_signal_to_all_processes_of_a_job_does_not_take_the_loader_away_first(tmp_path):
    """Slurm signals every process of a job step; a dead worker would end training in the middle of a step."""

    def batches_from(step):
        for number, batch in enumerate(load(ClipsOfAWorker(), range(step, 99), num_workers=1), step):
            if number == 5:
                workers = [str(child.pid) for child in multiprocessing.active_children()]
                assert workers
                subprocess.run(["kill", "-TERM", *workers, str(os.getpid())], check=True)
                time.sleep(0.2)
            yield batch

    with pytest.raises(SystemExit) as stopped:
        toy_train(tmp_path, batches_from=batches_from)
    assert stopped.value.code == 75
