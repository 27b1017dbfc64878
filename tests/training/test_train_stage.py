"""The stage on real, tiny videos: a class is a direction of brightness."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lgdnet import plan, trainer
from lgdnet.checkpoint import CheckpointError, read_model
from lgdnet.distributed import Ranks
from lgdnet.errors import InputError
from lgdnet.history import read_history
from lgdnet.manifest import read_manifest, write_manifest
from lgdnet.plan import Plan
from lgdnet.settings import StreamSettings, changed
from lgdnet.settings.reading import check
from lgdnet.sources import Media
from lgdnet.stages import curves, train
from lgdnet.watch import TrainingError
from tests.training.small import settings


def run(videos: Path, out: Path, stream: StreamSettings, **changes) -> dict[str, torch.Tensor]:
    folder = videos / "results" / "tiny" / "manifest"
    arguments = {
        "manifest": folder / "train.csv",
        "validation": folder / "validation.csv",
        "classes": folder / "classes.txt",
        "video_root": videos,
    }
    train.run(out=out, settings=stream, **{**arguments, **changes})
    return read_model(out)[0]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_stream_trains_and_leaves_its_model_history_and_curves(videos, tmp_path, capfd):
    run(videos, tmp_path / "model.safetensors", settings())
    _, about = read_model(tmp_path / "model.safetensors")
    assert (
        json.loads(about["classes"]) == ["down", "up"] and json.loads(about["settings"])["clip_length"] == 4
    )
    rows = read_history(tmp_path / "history.csv")
    assert [(row["step"], row["split"]) for row in rows] == [
        ("2", "train"), ("3", "validation"), ("4", "train"), ("6", "train"), ("6", "validation"),
    ]  # fmt: skip
    text = capfd.readouterr().err
    assert "12 videos, clips of 4 frames, batch 4, peak learning rate 0.01; 6 steps of 3 per epoch" in text
    assert "bounded by " in text
    curves.run(tmp_path / "history.csv", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    with pytest.raises(InputError, match=r"nothing.csv: no such file"):
        curves.run(tmp_path / "nothing.csv", tmp_path / "curves.png")


def test_the_number_of_loader_workers_changes_nothing_also_in_the_middle(videos, tmp_path, monkeypatch):
    whole = run(videos, tmp_path / "a" / "model.safetensors", settings(), num_workers=0)
    plain = train.train

    def stopped(*arguments, **kwargs):  # the end of the run does not come: as if killed after step 4
        plain(*arguments, **{**kwargs, "stop_at": 4})
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path / "b" / "model.safetensors", settings(), num_workers=1)
    monkeypatch.setattr(train, "train", plain)
    assert same(whole, run(videos, tmp_path / "b" / "model.safetensors", settings(), num_workers=2))


@pytest.fixture
def threads_back():
    yield
    torch.set_num_threads(1)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_the_number_of_loader_workers_changes_nothing_with_several_threads(videos, tmp_path, threads_back):
    wide = settings(width=16)
    few = run(videos, tmp_path / "a" / "model.safetensors", wide, threads=4, num_workers=1)
    many = run(videos, tmp_path / "b" / "model.safetensors", wide, threads=4, num_workers=3)
    assert same(few, many)
    assert torch.get_num_threads() == 2


def test_other_settings_start_anew_and_a_changed_log_interval_does_not(videos, tmp_path, capfd):
    out = tmp_path / "model.safetensors"
    first = run(videos, out, settings())
    capfd.readouterr()
    assert same(first, run(videos, out, settings(train={"log_every_steps": 1})))
    assert "resumed after step 6" in capfd.readouterr().err
    assert not same(first, run(videos, out, settings(train={"learning_rate": 0.02})))
    assert "made with other settings or data, moved there and not resumed from" in capfd.readouterr().err
    assert same(first, run(videos, out, settings()))
    text = capfd.readouterr().err
    assert "took back the checkpoints" in text and "resumed after step 6" in text


def test_a_run_that_was_out_of_memory_goes_on_with_smaller_parts(videos, tmp_path, capfd, monkeypatch):
    add_gradients = trainer.add_gradients

    def greedy(run, forward, batch, recipe):
        if run.step == 4 and recipe.accumulate == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return add_gradients(run, forward, batch, recipe)

    monkeypatch.setattr(trainer, "add_gradients", greedy)
    out = tmp_path / "model.safetensors"
    with pytest.raises(
        TrainingError, match=r"Raise train.accumulate \(now 1; each part has its own .* goes on"
    ):
        run(videos, out, settings())
    capfd.readouterr()
    smaller = {"accumulate": 2, "activation_checkpointing": True, "channels_last": True}
    run(videos, out, settings(train=smaller))
    text = capfd.readouterr().err
    assert "resumed after step 3" in text and "made with train.accumulate 1, now 2; training goes on" in text


@pytest.mark.parametrize("moment", ["resume", "write_stream"])
def test_a_signal_outside_the_loop_exits_with_the_code_that_is_retried(videos, tmp_path, monkeypatch, moment):
    module = train if moment == "write_stream" else trainer

    def interrupted(*_):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("still running")

    with monkeypatch.context() as patch:
        patch.setattr(module, moment, interrupted)
        with pytest.raises(SystemExit) as stopped:
            run(videos, tmp_path / "model.safetensors", settings())
    assert stopped.value.code == 75
    run(videos, tmp_path / "model.safetensors", settings())


def test_without_labelled_videos_nothing_is_validated(videos, tmp_path, capfd):
    unlabelled = read_manifest(videos / "results" / "tiny" / "manifest" / "validation.csv").table.copy()
    unlabelled["label"], unlabelled["class_index"] = "", -1
    write_manifest(tmp_path / "unlabelled.csv", unlabelled)
    run(videos, tmp_path / "model.safetensors", settings(), validation=tmp_path / "unlabelled.csv")
    assert capfd.readouterr().err.count("unlabelled.csv: no video has a label; nothing is validated") == 1
    assert {row["split"] for row in read_history(tmp_path / "history.csv")} == {"train"}


def test_leftovers_of_a_killed_run_are_removed(videos, tmp_path):
    for name in ("model.safetensors.999.tmp", "history.csv.999.tmp"):
        (tmp_path / name).write_bytes(b"half")
    run(videos, tmp_path / "model.safetensors", settings())
    assert not list(tmp_path.glob("*.tmp"))


GROWING = [{"clip_length": 4, "epochs": 1}, {"clip_length": 8, "epochs": 1}]


def test_parts_of_an_undisturbed_run_are_no_resumes(videos, tmp_path, capfd):
    growing = settings(clip_length=8, train={"lengths": GROWING})
    run(videos, tmp_path / "model.safetensors", growing)
    assert "resumed" not in capfd.readouterr().err
    run(videos, tmp_path / "model.safetensors", growing)
    assert capfd.readouterr().err.count("resumed after step 6") == 1


def test_a_part_never_trains_the_steps_of_the_one_before(videos, tmp_path, monkeypatch):
    """Its checkpoint is damaged just then."""
    train_part = train.train_part

    def and_damage(whole, part, model, checkpoints, *others):
        result = train_part(whole, part, model, checkpoints, *others)
        if part.end == 3:
            (path,) = checkpoints.paths()
            path.write_bytes(path.read_bytes()[:-1])
        return result

    monkeypatch.setattr(train, "train_part", and_damage)
    with pytest.raises(
        CheckpointError,
        match=r"step-00000003.safetensors: written by this process, and damaged .* after step 0",
    ):
        run(videos, tmp_path / "model.safetensors", settings(clip_length=8, train={"lengths": GROWING}))


def test_clips_grow_within_one_stream_and_a_stream_starts_from_another(videos, tmp_path, capfd):
    lengths = [
        {"clip_length": 4, "epochs": 1},
        {"clip_length": 8, "epochs": 1, "batch_norm": "frozen-but-first"},
    ]
    grown = settings(clip_length=8, train={"lengths": lengths, "average_decay": 0.9})
    run(videos, tmp_path / "grown" / "model.safetensors", grown)
    assert "clips of 4 then 8 frames" in capfd.readouterr().err
    run(
        videos,
        tmp_path / "long" / "model.safetensors",
        settings(),
        init=tmp_path / "grown" / "model.safetensors",
    )
    assert "model.safetensors: " in capfd.readouterr().err


def test_the_last_length_must_be_the_streams():
    with pytest.raises(InputError, match="train: lengths: the last one is 16, but clip_length is 4"):
        settings(train={"lengths": [{"clip_length": 16, "epochs": 2}]})


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"average_decay": 1.0}, "average_decay: input should be less than 1"),
        ({"momentum": 1.0}, "momentum: input should be less than 1"),
        ({"dropout": 1.0}, "dropout: input should be less than 1"),
        ({"label_smoothing": 1.0}, "label_smoothing: input should be less than 1"),
        ({"accumulate": 64}, "accumulate: a batch of 4 clips cannot be cut into 64 parts"),
        ({"warmup_epochs": 50}, "warmup_epochs: 50 are more than all 2 epochs"),
        ({"lengths": GROWING, "epochs": 77}, "they have 2 epochs together, but epochs is 77; leave it out"),
        ({"lengths": GROWING, "batch_norm": "frozen"}, "batch_norm: with lengths each of them has its own"),
        ({"drops": [0.1]}, r"drops: schedule cosine has none; use schedule: step, or drops: \[\]"),
        ({"trackers": ["wandb", "wandb"]}, "trackers: one stands there twice"),
    ],
)
def test_settings_that_contradict_each_other_are_errors(train, message):
    with pytest.raises(InputError, match=message):
        settings(clip_length=8, train=train)


def test_settings_that_agree_are_none():
    settings(clip_length=8, train={"lengths": GROWING, "epochs": 2})
    settings(train={"schedule": "step", "drops": [0.1]})
    settings(train={"drops": [], "batch_size": 4000})
    check(StreamSettings, {"train": {"epochs": 0.5}}, source="test")  # the warm-up of an epoch is a default


def test_the_rate_is_scaled_with_the_batch_and_both_are_printed(videos, tmp_path, capfd):
    run(
        videos,
        tmp_path / "model.safetensors",
        settings(train={"rate_batch_size": 16, "accumulate": 2, "epochs": 0.5}),
    )
    text = capfd.readouterr().err
    assert (
        "batch 4 (1 processes x 2 parts), peak learning rate 0.0025 (0.01 for 16 clips, scaled with the batch)"
        in text
    )


def test_recomputed_activations_change_memory_and_not_the_result(videos, tmp_path):
    plain = run(videos, tmp_path / "a" / "model.safetensors", settings())
    again = run(
        videos, tmp_path / "b" / "model.safetensors", settings(train={"activation_checkpointing": True})
    )
    assert all(torch.allclose(plain[name].float(), again[name].float(), atol=1e-6) for name in plain)
    wide = {"width": 16, "train": {"activation_checkpointing": True}}
    assert kept_bytes(settings(**wide)) < 0.85 * kept_bytes(settings(width=16))


def kept_bytes(stream: StreamSettings) -> int:
    """What the forward pass of a batch keeps for the backward pass, each storage once."""
    model = plan.starting_network(stream, 2, None).train()
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.zeros(2, 3, 4, 32, 32))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.slow
def test_two_processes_train_a_stream(videos, tmp_path):
    """Also with a head that leaves the last weights of one path without a gradient."""

    stream = settings(head="local", train={"batch_norm": "frozen", "dropout": 0.0})
    alone = run(videos, tmp_path / "one" / "model.safetensors", stream)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    folder = videos / "results" / "tiny" / "manifest"
    command = [
        sys.executable, "-m", "lgdnet.launch", "--processes", "2", "train", "--manifest", str(folder / "train.csv"),
        "--validation", str(folder / "validation.csv"), "--classes", str(folder / "classes.txt"),
        "--video-root", str(videos), "--settings", changed(stream), "--out", str(tmp_path / "two" / "model.safetensors"),
    ]  # fmt: skip
    subprocess.run(command, env=environment, check=True, timeout=300)
    together = read_model(tmp_path / "two" / "model.safetensors")[0]
    assert max(float((alone[name].float() - together[name].float()).abs().max()) for name in alone) < 1e-4
    histories = [read_history(tmp_path / name / "history.csv")[-1] for name in ("one", "two")]
    assert float(histories[0]["loss"]) == pytest.approx(float(histories[1]["loss"]), abs=1e-3)


def test_a_batch_that_cannot_be_shared_is_an_error(videos):
    videos_of = read_manifest(videos / "results" / "tiny" / "manifest" / "train.csv")
    with pytest.raises(
        InputError, match=r"train.batch_size 4 cannot be shared by 3 processes: make it a multiple of 3"
    ):
        Plan(settings(), videos_of, Media(videos), Ranks(0, 0, 3), torch.device("cpu"), 0, num_classes=2)
    with pytest.raises(InputError, match="synchronised needs GPUs; on CPUs use train or frozen"):
        stream = settings(train={"batch_norm": "synchronised"})
        Plan(stream, videos_of, Media(videos), Ranks(0, 0, 2), torch.device("cpu"), 0, num_classes=2)
