"""Video files under the video root: which there are, and which belongs to a name."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lgdnet.datasets.rows import AnnotationError

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "mp4 m4v mov mkv webm avi mpg mpeg ts m2ts mts wmv flv 3gp ogv vob".split()  # noqa: SIM905
)
SOUND_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "wav flac ogg oga opus mp3 mp2 m4a aac wma aif aiff".split()  # noqa: SIM905
)
SUFFIXES = {"video": VIDEO_SUFFIXES, "sound": SOUND_SUFFIXES}
# Kinetics files on disk: eleven characters of the id, start and end in six digits, as its crawler writes
# them.
PADDED_TIMES = re.compile(r"^(?P<youtube>.{11})_0*(?P<start>\d+)_0*(?P<end>\d+)$")


def list_videos(folder: Path, suffixes: frozenset[str] | None = None) -> list[str]:
    """Paths of all video files below a folder, relative to it, sorted; symbolic links are followed.

    Only the suffix is looked at; `suffixes` may name others than those of videos. A folder that contains itself through a link is entered once.
    """
    suffixes = suffixes or VIDEO_SUFFIXES
    found: list[str] = []
    entered: set[tuple[int, int]] = set()
    stack = [""]
    while stack:
        prefix = stack.pop()
        status = (folder / prefix).stat()
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                if entry.is_dir():
                    stack.append(f"{prefix}{entry.name}/")
                elif os.path.splitext(entry.name)[1].lower() in suffixes:  # noqa: PTH122 (650,000 times)
                    found.append(prefix + entry.name)
    return sorted(found)


def plain_name(stem: str) -> str:
    """`abcdefghijk_000047_000057` -> `abcdefghijk_47_57`; other names stay."""
    match = PADDED_TIMES.match(stem)
    return f"{match['youtube']}_{match['start']}_{match['end']}" if match else stem


def find_by_name(video_ids: pd.Series, video_root: Path) -> pd.Series:
    """The file of each id, by its name with or without zero-padded times, anywhere under the root; "" if
    none.

    A Kinetics crawler that leaves the times away (`<youtube id>.mp4`) is understood where that is
    unambiguous.
    """
    files = list_videos(video_root)
    path_of: dict[str, str] = {}
    asked = set(video_ids)
    for path in files:
        stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        name = plain_name(stem)
        other = path_of.setdefault(name, path)
        if other != path and name in asked:
            raise AnnotationError(
                f"{video_root}: both {other} and {path} are named like video {name!r}. Remove one of them."
            )
    found = video_ids.map(path_of)
    bare = video_ids.str.replace(r"_\d+_\d+$", "", regex=True)
    unambiguous = ~bare.duplicated(keep=False)
    return found.fillna(bare.map(path_of).where(unambiguous)).fillna("").astype("str")


def check_root(video_root: Path, media: str = "video") -> None:
    """There is a folder and it holds at least one file of `media`: video or sound."""
    if not video_root.is_dir():
        raise AnnotationError(f"{video_root}: no such folder. Set dataset.video_root in the config.")
    for _, _, names in os.walk(video_root, followlinks=True):
        if any(os.path.splitext(name)[1].lower() in SUFFIXES[media] for name in names):  # noqa: PTH122
            return
    raise AnnotationError(
        f"{video_root}: no {media} in this folder. Set dataset.video_root to where the {media}s are."
    )


def check_paths(annotations: Path, table: pd.DataFrame, video_root: Path) -> None:
    """No path is absolute or climbs out of the video root; no id out of a folder named after it, as in `media`."""
    for path, row in climbing(table, "path"):
        raise AnnotationError(
            f"{annotations}: row {row}: path {path!r} climbs out of the video root {video_root}. "
            "Write it relative to the video root, or set dataset.video_root higher up."
        )
    for video_id, row in climbing(table, "video_id"):
        raise AnnotationError(
            f"{annotations}: row {row}: video id {video_id!r} climbs out of the folder where files are named "
            "after it. Write it without a leading slash and without '..'."
        )


def climbing(table: pd.DataFrame, column: str) -> Iterator[tuple[str, int]]:
    """(value, row) where a value, taken as a relative path, leads out of its folder."""
    suspicious = table[column].str.contains(r"^/|(?:^|/)\.\.(?:/|$)|^~|\\|\x00", regex=True)
    for value, row in table.loc[suspicious, [column, "row"]].itertuples(index=False):
        normal = os.path.normpath(value)
        if os.path.isabs(value) or normal.startswith("..") or "\x00" in value:  # noqa: PTH117
            yield value, row
