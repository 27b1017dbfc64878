"""One video on its way to the networks: looked at, transcoded where the challenge does that, its sound extracted.

What comes out is a manifest of one row, so that everything after it is the code of the stages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lgdnet.artefact import provenance
from lgdnet.audio.extraction import Listener, Noise
from lgdnet.audio.shard import write_sounds
from lgdnet.datasets.probing import PROBE_MEMORY_GIB, PROBERS, probe_options, verdict_of
from lgdnet.manifest import COLUMNS, Manifest
from lgdnet.prediction.finished import PredictionError
from lgdnet.settings import AudioSettings, Challenge, MediaSettings
from lgdnet.video.transcode import Recipe
from lgdnet.watchdog import Failure, Worker

TRANSCODER = "lgdnet.video.transcode:transcode_and_probe"


@dataclass(frozen=True)
class Looked:
    """A video that can be used: its manifest, and the folder that the path in it starts from."""

    manifest: Manifest
    root: Path

    @property
    def video_id(self) -> str:
        return str(self.manifest.video_ids[0])


class Looker:
    """Looks at videos as the `manifest`, `media` and `audio` stages do, in processes that can be killed.

    `timeout_sec` bounds each step on one video.
    """

    def __init__(self, challenge: Challenge, *, timeout_sec: float) -> None:
        self.challenge = challenge
        self.timeout_sec = timeout_sec
        self.options = probe_options(challenge.manifest)
        self.prober = Worker(PROBERS[challenge.dataset.media], memory_gib=PROBE_MEMORY_GIB)
        self.transcoder = Worker(TRANSCODER)
        self.listener = Listener()

    def stop(self) -> None:
        """End the processes."""
        self.prober.stop()
        self.transcoder.stop()
        self.listener.stop()

    def look(self, path: Path, video_id: str | Callable[[Path, str], str]) -> Looked:
        """Decode the whole file once and note what it is. Errors: PredictionError with the reason of a reject.

        The id may be a function of the path and the sha256 of what is in the file.
        """
        check_name(path)
        outcome = self.prober.call(str(path), self.options, timeout_sec=self.timeout_sec)
        found = verdict_of(outcome, self.timeout_sec)
        if found["verdict"] != "ok":
            raise PredictionError(f"{path}: {found['reason']}")
        if not isinstance(video_id, str):
            video_id = video_id(path, found["digest"])
        return Looked(manifest_of(path, video_id, path.name, found), path.parent)

    def transcoded(self, looked: Looked, folder: Path) -> Looked:
        """As the media stage makes it, in `folder`."""
        settings: MediaSettings = self.challenge.media
        video = looked.manifest
        source, target = looked.root / video.paths[0], folder / "transcoded.mp4"
        outcome = self.transcoder.call(
            str(source),
            str(target),
            Recipe.of(settings)._asdict(),
            settings.reader,
            video.backends[0],
            int(video.num_frames[0]),
            False,
            timeout_sec=self.timeout_sec,
        )
        if isinstance(outcome, Failure):
            raise PredictionError(f"{source}: cannot be transcoded ({outcome.message.split(': ', 1)[-1]})")
        return Looked(manifest_of(source, looked.video_id, target.name, outcome), folder)

    def sound(self, looked: Looked, folder: Path) -> Path:
        """The file of log-mel frames that the audio stage would write, in `folder`. Errors: AudioError."""
        settings: AudioSettings = self.challenge.audio
        video, out = looked.manifest, folder / "sound.h5"
        path = looked.root / video.paths[0]
        made_by = provenance({"audio": settings.model_dump(mode="json")}, {})
        if not video.has_audio[0] or looked.video_id in settings.leave_out:
            write_sounds(out, [], [], made_by=made_by, left_out=[looked.video_id])
            return out
        extracted = self.listener.extract(
            looked.video_id,
            path,
            folder,
            noise=Noise.of(settings),
            timeout_sec=self.timeout_sec,
            variable_rate=video.variable_rate,
        )
        write_sounds(out, [(looked.video_id, path)], extracted, made_by=made_by)
        return out


def check_name(path: Path) -> None:
    """Errors: PredictionError for what is not there, is a folder or has a name that no artefact can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = bytes(path).decode(errors="backslashreplace")
        raise PredictionError(f"{shown}: the name is not UTF-8. Rename the file and its folders.") from None
    if path.is_dir():
        raise PredictionError(f"{path}: a folder, one file is needed. Name a file in it.")
    if not path.is_file():
        raise PredictionError(f"{path}: no such file. Correct the name, or name a folder of videos.")


def manifest_of(path: Path, video_id: str, name: str, facts: dict[str, Any]) -> Manifest:
    """One row, unlabelled; messages name `path`."""
    row = {"video_id": video_id, "path": name, "label": "", "class_index": -1, **facts}
    return Manifest(path, pd.DataFrame([{column: row[column] for column in COLUMNS}]).astype(COLUMNS))
