"""A finished challenge and new videos in, the best classes of each video out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lgdnet.datasets.videos import SUFFIXES, list_videos
from lgdnet.errors import InputError
from lgdnet.log import say
from lgdnet.prediction.answers import as_json, as_text
from lgdnet.prediction.copies import planned_copies
from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.prediction.identity import VideoIds, noise_notice, sound_depends_on_id
from lgdnet.prediction.networks import chosen_device
from lgdnet.prediction.opening import opened
from lgdnet.prediction.predictor import SECONDS_PER_STEP, Prediction, Predictor


def run(
    videos: Sequence[Path],
    *,
    challenge: Path | None = None,
    config: Path | None = None,
    row: str | None = None,
    device: str = "auto",
    count: int = 5,
    as_lines: bool = False,
    members: bool = False,
    annotate: Path | None = None,
    video_root: Path | None = None,
    timeout_sec: float = SECONDS_PER_STEP,
    threads: int = 1,
    show: Callable[[str], None] = print,
) -> list[str]:
    """Predict files, and all videos of folders, each answer shown when it is there.

    A video that cannot be used is named with its reason and the others are still done. -> what went wrong, one line
    for each such video. Errors: InputError where nothing can be predicted at all.
    """
    torch.set_num_threads(threads)
    with opened(challenge, config=config) as finished:
        files = listed(videos, finished)
        if annotate is not None and finished.challenge.dataset.media == "sound":
            raise PredictionError(
                f"{finished.challenge.challenge} is a challenge of sounds: there are no pictures to write on. "
                "Leave out --annotate."
            )
        copies = planned_copies(files, annotate) if annotate is not None else {}
        begin = time.perf_counter()
        with Predictor(finished, row, device=chosen_device(device), timeout_sec=timeout_sec) as predictor:
            say(f"networks of {', '.join(predictor.streams)} loaded in {time.perf_counter() - begin:.1f} s")
            if predictor.listens() and finished.challenge.audio.noise is not None:
                say(noise_notice(finished.challenge))
            by_content = predictor.listens() and sound_depends_on_id(finished.challenge)
            video_ids = VideoIds(finished, video_root=video_root, by_content=by_content)
            failures: list[str] = []
            for path in files:
                try:
                    found = predictor.predict(path, video_ids)
                    show(
                        as_json(found, predictor.row, count)
                        if as_lines
                        else as_text(found, count, members=members)
                    )
                    if path in copies:
                        write_copy(found, copies[path], count)
                except InputError as error:
                    failures.append(str(error))
                    say(f"error: {error}")
    if failures and len(files) > 1:
        say(f"{len(files) - len(failures)} of {len(files)} videos predicted, {len(failures)} failed")
    return failures


def write_copy(prediction: Prediction, out: Path, count: int) -> None:
    """The video with its best classes written on it."""
    from lgdnet.prediction.annotation import annotate

    annotate(prediction.path, out, prediction.top(count), num_frames=prediction.num_frames)
    say(f"wrote {out}")


def listed(videos: Sequence[Path], finished: Finished) -> list[Path]:
    """Files as they are named, folders as the videos in them."""
    suffixes = SUFFIXES[finished.challenge.dataset.media]
    files: list[Path] = []
    for path in videos:
        inside = [path / name for name in list_videos(path, suffixes)] if path.is_dir() else [path]
        if not inside:
            raise PredictionError(
                f"{path}: no videos in this folder. Name files, or a folder that holds some."
            )
        files += inside
    return files
