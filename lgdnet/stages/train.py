"""One stream: a manifest and settings in, `model.safetensors` and `history.csv` out.

Checkpoints lie in `checkpoints/` beside the model file; a run that was stopped goes on from them.
"""

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from lgdnet.artefact import file_digest, remove_leftovers
from lgdnet.checkpoint import FIGURES, Checkpoints, only_one
from lgdnet.distributed import Ranks, together
from lgdnet.history import History, open_trackers
from lgdnet.interrupt import exit_on_signal
from lgdnet.log import say, warn
from lgdnet.manifest import read_classes, read_manifest
from lgdnet.models import training_loss
from lgdnet.plan import Part, Plan, Validator, share_cores, starting_network
from lgdnet.settings import FlowSettings, StreamSettings
from lgdnet.sources import media_like, training_media, videos_to_train
from lgdnet.streams import write_stream
from lgdnet.trainer import train

ONE_PATH_HEADS = ("local", "global")  # some of the other path's last weights have no gradient


def run(
    *,
    manifest: Path,
    validation: Path,
    classes: Path,
    video_root: Path,
    out: Path,
    settings: StreamSettings,
    init: Path | None = None,
    stored: Sequence[Path] = (),
    stored_validation: Sequence[Path] = (),
    flow_settings: FlowSettings = FlowSettings(),  # noqa: B008  frozen
    threads: int = 1,
    num_workers: int | None = None,
    device: str = "auto",
) -> None:
    """Train, and write the model to `out`. Under torchrun or srun every process calls this.

    `stored` and `stored_validation` are the files that the flow or audio stage made of both splits.
    `threads` CPU cores belong to each process. On a GPU they all load clips; on a CPU half of them do.
    `flow_settings`: how the flow has to have been made, for flow streams.
    Ends with SystemExit(75) after SIGTERM or SIGUSR1: start it again and it goes on.
    """
    folder = out.parent
    with (
        exit_on_signal(),
        together(device, folder / "checkpoints") as (ranks, here),
        alone_in(folder / "checkpoints", ranks),
    ):
        for name in (out.name, *FIGURES) if ranks.first else ():
            remove_leftovers(folder, name)
        num_workers = share_cores(threads, here, num_workers)
        names = read_classes(classes)
        media = training_media(settings, video_root, stored, flow_settings)
        videos = videos_to_train(settings, read_manifest(manifest), media)
        plan = Plan(settings, videos, media, ranks, here, num_workers, num_classes=len(names))
        model = starting_network(settings, len(names), init).to(here)
        sources = {
            "classes": file_digest(classes),
            "init": file_digest(init) if init else "",
            "weights": file_digest(settings.weights.path) if settings.weights else "",
        }
        checkpoints = Checkpoints(
            folder / "checkpoints", identity=plan.identity(sources), details=plan.details()
        )
        trackers = partial(open_trackers, settings.train.trackers, folder, run_name(folder))
        history = History(folder / "history.csv", trackers)
        validator = Validator(
            settings,
            read_manifest(validation),
            media_like(
                settings,
                video_root,
                stored_validation,
                recipe=media.recipe,
                statistics=media.statistics,
            ),
            num_classes=len(names),
            device=here,
            num_workers=num_workers,
        )
        if ranks.first:
            say(plan.describe())
            if not len(validator.rows):
                warn(f"{validation}: no video has a label; nothing is validated while training.")
        result: torch.nn.Module = model
        for part in plan.parts:  # one, unless clips grow; each goes on where the one before it was saved
            result = train_part(plan, part, model, checkpoints, history, validator)
        if ranks.first:
            write_stream(out, result, settings, names, media)
        history.close()


def train_part(
    plan: Plan,
    part: Part,
    model: torch.nn.Module,
    checkpoints: Checkpoints,
    history: History,
    validator: Validator,
) -> torch.nn.Module:
    """The steps up to the end of `part`."""
    settings = plan.settings.train
    return train(
        model,
        batches_from=partial(plan.batches_from, clip_length=part.clip_length),
        transform=plan.transform(),
        loss=partial(training_loss, label_smoothing=settings.label_smoothing),
        optimizer=plan.optimizer(model),
        learning_rate=plan.learning_rate,
        num_steps=plan.num_steps,
        steps_per_epoch=plan.steps_per_epoch,
        stop_at=part.end,
        checkpoints=checkpoints,
        history=history,
        validate=validator if len(validator.rows) else None,
        validate_every=settings.validate_every_epochs * plan.steps_per_epoch,
        device=plan.device,
        ranks=plan.ranks,
        seed=settings.seed,
        accumulate=settings.accumulate,
        clip_norm=settings.clip_norm,
        precision=plan.precision,
        batch_norm=part.batch_norm,
        average_decay=settings.average_decay,
        channels_last=settings.channels_last,
        compile=settings.compile,
        find_unused_parameters=plan.settings.head in ONE_PATH_HEADS,
        log_every=settings.log_every_steps,
        save_every_sec=60 * settings.checkpoint_every_minutes,
        max_bad_in_row=settings.max_bad_steps,
        video_ids=plan.videos.video_ids.tolist(),
    )


def run_name(folder: Path) -> str:
    """How trackers call the run: `results/sample/streams/frame16` is `sample/frame16`."""
    challenge = folder.parent.parent.name
    return f"{challenge}/{folder.name}" if folder.parent.name == "streams" else folder.name


def alone_in(folder: Path, ranks: Ranks) -> contextlib.AbstractContextManager[None]:
    """The first process holds the folder for all."""
    return only_one(folder) if ranks.first else contextlib.nullcontext()
