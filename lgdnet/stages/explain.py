"""A finished challenge and a video in, a strip of pictures out that shows where a stream looks."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from lgdnet.artefact import atomic
from lgdnet.augment import eval_transform
from lgdnet.dumping import batches_of
from lgdnet.loader.batches import View, views
from lgdnet.log import say
from lgdnet.modalities import MODALITIES
from lgdnet.models.evidence import Evidence, evidence
from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.prediction.identity import VideoIds, noise_notice, sound_depends_on_id
from lgdnet.prediction.looking import Looked, Looker
from lgdnet.prediction.networks import chosen_device, load_stream, media_of
from lgdnet.prediction.opening import opened
from lgdnet.prediction.strip import Clip, pictures_of, strip
from lgdnet.settings.base import nearest
from lgdnet.sources import clips_of, rows_without_clips
from lgdnet.streams import Stream

NUM_COLUMNS = 8
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class Explained(NamedTuple):
    """What was drawn. The parts are means over the clips shown."""

    stream: str
    label: str
    local: float
    global_: float
    constant: float
    logit: float
    is_sum: bool


def run(
    video: Path,
    out: Path,
    *,
    challenge: Path | None = None,
    config: Path | None = None,
    stream: str | None = None,
    label: str | None = None,
    video_root: Path | None = None,
    device: str = "auto",
    timeout_sec: float = 3600.0,
    threads: int = 1,
) -> Explained:
    """Draw a picture, of the kind that the suffix of `out` says, of the class `label`, by default the one that the stream finds best. Errors: InputError."""
    check_target(out)
    torch.set_num_threads(threads)
    where = chosen_device(device)
    with opened(challenge, config=config) as finished:
        name = chosen_stream(finished, stream)
        trained = load_stream(finished, name, where)
        looker = Looker(finished.challenge, timeout_sec=timeout_sec)
        try:
            with tempfile.TemporaryDirectory(prefix="lgdnet-explain-") as folder:
                sound = trained.settings.modality == "audio"
                if sound and finished.challenge.audio.noise is not None:
                    say(noise_notice(finished.challenge))
                by_content = sound and sound_depends_on_id(finished.challenge)
                looked = looker.look(video, VideoIds(finished, video_root=video_root, by_content=by_content))
                if finished.challenge.media.enabled:
                    looked = looker.transcoded(looked, Path(folder))
                stored = (looker.sound(looked, Path(folder)),) if sound else ()
                seen = clips_seen(finished, name, trained, looked, stored, where)
        finally:
            looker.stop()
        k = class_of(trained, label, seen, where, finished.source)
        clips, is_sum = explained(trained, seen, k, looked, where)
    draw(out, clips, video, name, trained.classes[k], is_sum)
    local, from_global, constant, logit = np.mean([numbers(clip) for clip in clips], axis=0).tolist()
    return Explained(name, trained.classes[k], local, from_global, constant, logit, is_sum)


def check_target(out: Path) -> None:
    """Errors: PredictionError for what is no name of a picture, or for a folder or another file: none is written over."""
    if out.is_dir():
        raise PredictionError(f"{out}: a folder. Name the picture to write, such as {out / 'explain.png'}.")
    if out.suffix.lower() not in PICTURES:
        raise PredictionError(
            f"{out}: no kind of picture is called {out.suffix!r}. Name a file that ends in {', '.join(PICTURES)}."
        )
    if out.exists() and not cv2.haveImageReader(str(out)):
        raise PredictionError(f"{out}: is there already and no picture. Delete it, or name another file.")


def chosen_stream(finished: Finished, stream: str | None) -> str:
    """The named stream, else the first one of the row that would be submitted."""
    name = stream or finished.streams(finished.default_row())[0]
    if name not in finished.challenge.streams:
        known = nearest(name, finished.challenge.streams)
        raise PredictionError(f"{finished.source}: no stream is called {name!r}{known}")
    held = dict.fromkeys(stream for row in finished.packed for stream in finished.streams(row))
    if held and name not in held:
        raise PredictionError(
            f"{finished.source}: this pack was made without the stream {name!r}. Choose another --stream: {', '.join(held)}."
        )
    return name


def clips_seen(
    finished: Finished,
    name: str,
    trained: Stream,
    looked: Looked,
    stored: tuple[Path, ...],
    device: torch.device,
) -> list[View]:
    """The centre crops that prediction sees, at most `NUM_COLUMNS` of them, evenly spaced."""
    media = media_of(finished, trained, looked, stored, device)
    source = clips_of(trained.settings, looked.manifest, media)
    if rows_without_clips(source):
        raise PredictionError(
            f"{looked.manifest.path}: nothing to hear, and {name!r} listens. Choose another --stream."
        )
    num_clips = min(finished.challenge.streams[name].dump.num_clips, NUM_COLUMNS)
    return list(views(source, num_clips=num_clips))


def class_of(trained: Stream, label: str | None, seen: list[View], device: torch.device, source: Path) -> int:
    """The index of the named class, else of the one whose mean log-probability over the clips is largest."""
    if label is not None:
        if label not in trained.classes:
            raise PredictionError(f"{source}: no class is called {label!r}{nearest(label, trained.classes)}")
        return trained.classes.index(label)
    transform = eval_transform(MODALITIES[trained.settings.modality])
    with torch.inference_mode():
        logits = [
            trained.model(transform(torch.stack([view.clip for view in part]), device)).logits
            for part in batches_of(seen)
        ]
        return int(torch.cat(logits).log_softmax(1).mean(0).argmax())


def explained(
    trained: Stream, seen: list[View], k: int, looked: Looked, device: torch.device
) -> tuple[list[Clip], bool]:
    """What each clip brings, and whether its parts add up to the logit."""
    transform = eval_transform(MODALITIES[trained.settings.modality])
    clips: list[Clip] = []
    is_sum = True
    for part in batches_of(seen):
        found = evidence(trained.model, transform(torch.stack([view.clip for view in part]), device), k)
        is_sum = found.is_sum
        clips += [clip_of(view, found, i, trained, looked) for i, view in enumerate(part)]
    return clips, is_sum


def clip_of(view: View, found: Evidence, i: int, trained: Stream, looked: Looked) -> Clip:
    """One clip with its parts."""
    heat = found.local[i].float().cpu().numpy()
    fps = float(looked.manifest.table["fps"].iloc[0])
    if trained.settings.modality == "audio":
        heat = heat[:, ::-1]  # as the picture: low tones at the bottom
    return Clip(
        f"{view.start_frame / fps:.1f} s" if fps > 0 else f"from {view.start_frame / 100:.1f} s",
        pictures_of(view.clip.numpy(), trained.settings.modality, len(heat)),
        heat,
        float(found.global_[i]),
        float(found.constant[i]),
        float(found.logit[i]),
    )


def numbers(clip: Clip) -> tuple[float, float, float, float]:
    """Local, global, constant, logit."""
    return float(clip.heat.sum()), clip.global_, clip.constant, clip.logit


def draw(out: Path, clips: list[Clip], video: Path, stream: str, label: str, is_sum: bool) -> None:
    """The strip as a picture of the suffix's kind, whole or not at all."""
    title = f"{label}   -   {stream} on {video.name}"
    done, picture = cv2.imencode(out.suffix.lower(), strip(clips, title, notes_of(is_sum))[..., ::-1])
    assert done, "OpenCV could not encode the picture"
    with atomic(out) as tmp:
        tmp.write_bytes(picture.tobytes())


def notes_of(is_sum: bool) -> list[str]:
    """What the picture says of itself."""
    bars = "bars: orange the local path, blue-green the global path, grey the constant; right speaks for the class"
    if is_sum:
        return [
            bars,
            "red places speak for the class, blue against it; places, global path and constant add up to the logit",
        ]
    return [
        bars,
        "by gradient, as this head is not linear: where it looks, not shares that add up to the logit",
    ]
