"""Where annotated copies go: never over a video, never over a file that `predict` did not make."""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import av

from lgdnet.ffmpeg import name_for_ffmpeg
from lgdnet.prediction.finished import PredictionError

MARK = "annotated by lgdnet predict, copy"  # begins the comment in every copy; its source follows as a digest


def planned_copies(videos: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """The copy of each video, before anything is predicted: `<stem>.mp4` in `folder`, `<stem>-2.mp4`, ...

    A copy of the same video that an earlier run made is replaced, one of another video keeps its name.
    Errors: PredictionError where a copy would take the place of a video to predict or of any other file.
    """
    try:
        str(folder).encode()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PredictionError(
            f"{folder}: no folder for annotated copies ({error.strerror}). Name another one."
        ) from None
    except UnicodeEncodeError:
        shown = bytes(folder).decode(errors="backslashreplace")
        raise PredictionError(
            f"{shown}: the name is not UTF-8. Name another folder with --annotate."
        ) from None
    sources = {path.resolve() for path in videos}
    taken: dict[Path, Path] = {}  # the source of each copy
    plan: dict[Path, Path] = {}
    for path in videos:
        source = path.resolve()
        names = (f"{path.stem}.mp4" if i == 1 else f"{path.stem}-{i}.mp4" for i in itertools.count(1))
        for out in (folder / name for name in names):
            if out.resolve() in sources:
                raise PredictionError(
                    f"{out}: is a video to predict, the annotated copy of {path} would be written over it. "
                    "Name another folder with --annotate."
                )
            if taken.get(out, source) == source and is_free(out, source):
                taken[out], plan[path] = source, out
                break
    return plan


def is_free(out: Path, source: Path) -> bool:
    """Whether a copy may take this place: nothing is there, or the copy that an earlier run made of `source`.

    False for the copy of another video. Errors: PredictionError for any other file.
    """
    if not (out.exists() or out.is_symlink()):
        return True
    comment = comment_of(out)
    if not comment.startswith(MARK):
        raise PredictionError(
            f"{out}: is there already and no annotated copy, so it is not written over. Name another folder with "
            "--annotate."
        )
    return comment == comment_for(source)


def comment_for(source: Path) -> str:
    """What a copy says of itself. The digest tells sources apart and names no folder of this machine."""
    return f"{MARK} {hashlib.sha256(bytes(source.resolve())).hexdigest()[:16]}"


def comment_of(path: Path) -> str:
    """The comment in a media file; empty where there is none, or no media file."""
    try:
        with av.open(name_for_ffmpeg(path)) as container:
            return container.metadata.get("comment", "")
    except (av.FFmpegError, OSError, ValueError):
        return ""
