"""Which id a video has, as the workflow has it: noise of an experiment is drawn by it, sound that is left out named by it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from lgdnet.datasets.videos import plain_name
from lgdnet.manifest import Manifest, read_manifest
from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.settings import Challenge
from lgdnet.settings.base import Split


class VideoIds:
    """The ids of videos: of the manifests for what is known there, else made from the name of the file.

    With `video_root` a video is known by its path below it. Without, and only if `by_content`, by what is in the
    file, wherever it lies. A pack has no manifests. Errors: ManifestError for one that cannot be read.
    """

    def __init__(
        self, finished: Finished, *, video_root: Path | None = None, by_content: bool = False
    ) -> None:
        self.video_root = video_root
        self.of_path: dict[str, str] = {}
        self.of_digest: dict[str, list[tuple[str, str]]] = {}  # (name of the file, id)
        if video_root is None and not by_content:
            return
        for manifest in manifests(finished):
            ids, paths = manifest.video_ids.tolist(), manifest.paths.tolist()
            if video_root is not None:
                self.of_path.update(zip(paths, ids, strict=True))
                continue
            for digest, path, video_id in zip(manifest.digests or [], paths, ids, strict=False):
                self.of_digest.setdefault(digest, []).append((Path(path).name, video_id))

    def __call__(self, path: Path, digest: str) -> str:
        """The id of a file with the content of this sha256. Errors: PredictionError outside of the video root."""
        if self.video_root is not None:
            below = relative(path, self.video_root)
            return self.of_path.get(below, below.removesuffix(path.suffix))
        if known := self.of_digest.get(digest):
            return dict(known).get(
                path.name, known[0][1]
            )  # of several with one content, the one of this name
        return plain_name(path.stem)


def manifests(finished: Finished) -> Iterator[Manifest]:
    """Those of the finished challenge that are there."""
    for split in get_args(Split):
        path = finished.root / f"manifest/{split}.csv"
        if path.is_file():
            yield read_manifest(path)


def relative(path: Path, root: Path) -> str:
    """A path as manifests write it, links followed only where it is needed."""
    for one, other in ((Path(os.path.abspath(p)) for p in (path, root)), (path.resolve(), root.resolve())):  # noqa: PTH100
        if one.is_relative_to(other):
            return one.relative_to(other).as_posix()
    raise PredictionError(f"{path}: does not lie below {root}. Correct --video-root, or leave it out.")


def sound_depends_on_id(challenge: Challenge) -> bool:
    """Whether one file with another id would sound otherwise."""
    return challenge.audio.noise is not None or bool(challenge.audio.leave_out)


def noise_notice(challenge: Challenge) -> str:
    """The line that says why sound is harder than it is in the file."""
    noise = challenge.audio.noise
    assert noise is not None, "there is no noise to tell of"
    return (
        f"noise of the experiment is mixed in (audio: noise: snr_db {noise.snr_db:g}): every sound is made as hard "
        "as those of the challenge. It is drawn by video id: of the manifest for videos known there, else the file's name"
    )
