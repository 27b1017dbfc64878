"""Decoded frames of a shard of videos as JPEG in one HDF5 file: a random clip without a video decoder.

frames.h5   jpeg (bytes,) uint8, all pictures one after another
            offsets (frames + 1,) int64, where each picture starts
            first_frame (videos + 1,) int64, where each video starts among the pictures
            video_id (videos,) text
            attributes: format, complete, provenance. A file without `complete` was not finished.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from lgdnet.artefact import atomic
from lgdnet.errors import InputError
from lgdnet.settings import CacheSettings
from lgdnet.video.reader import read_frames

# T frames, H x W pixels

FORMAT = "lgdnet-frames-1"
CHUNK_BYTES = (
    2**18
)  # a chunk is read whole, for its checksum; a 16-frame clip at short side 128 has about half of it


class CacheError(InputError):
    """A frame cache that cannot be read."""


def write_cache(
    path: Path,
    videos: Iterable[tuple[str, Iterator[np.ndarray]]],
    *,
    quality: int,
    provenance: Mapping[str, str],
) -> None:
    """Write (video id, frames (H, W, 3) uint8 RGB in order) of all videos, whole or not at all."""
    with atomic(path) as tmp, h5py.File(tmp, "w") as file:
        jpeg = file.create_dataset(
            "jpeg", (0,), np.uint8, maxshape=(None,), chunks=(CHUNK_BYTES,), fletcher32=True
        )
        offsets, first_frame, video_ids = [0], [0], []
        for video_id, frames in videos:
            pictures = [encode(frame, quality) for frame in frames]
            block = np.concatenate(pictures)
            jpeg.resize((offsets[-1] + len(block),))
            jpeg[offsets[-1] :] = block
            offsets += (offsets[-1] + np.cumsum([len(p) for p in pictures])).tolist()
            first_frame.append(len(offsets) - 1)
            video_ids.append(video_id)
        file.create_dataset("offsets", data=np.array(offsets, np.int64), fletcher32=True, chunks=True)
        file["first_frame"] = np.array(first_frame, np.int64)
        file["video_id"] = np.array(video_ids, dtype=h5py.string_dtype())
        file.attrs.update({**provenance, "format": FORMAT, "quality": quality, "complete": len(video_ids)})


def encode(frame: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 3) RGB -> bytes of a JPEG, (n,) uint8"""
    ok, picture = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return picture.ravel()


class FramesAsCached:
    """Frames straight from the videos, as a cache would give them: at its size, and through its JPEG.

    `videos`: file, reader and shorter side in pixels by video id.
    """

    def __init__(self, videos: Mapping[str, tuple[Path, str, int]], settings: CacheSettings) -> None:
        self.videos = videos
        self.settings = settings

    def read(self, video_id: str, indices: np.ndarray) -> np.ndarray:
        """Frames by number, in the order asked for. -> (T, H, W, 3) uint8 RGB"""
        path, backend, side = self.videos[video_id]
        wanted, where = np.unique(np.asarray(indices, dtype=np.int64), return_inverse=True)
        frames = read_frames(
            path, wanted, short_side=cached_side(self.settings.short_side, side), backend=backend
        )
        for i, frame in enumerate(frames):
            frames[i] = cv2.imdecode(encode(frame, self.settings.quality), cv2.IMREAD_COLOR_RGB)
        return frames[where]


def cached_side(wanted: int, side: int) -> int:
    """The shorter side that is kept; smaller videos are not enlarged."""
    return min(wanted, side)


class FrameCache:
    """Random access to the cached frames of a split, over all its shards. Files are opened once per process."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self.shards = [Path(path) for path in shards]
        self.files: dict[tuple[int, int], h5py.File] = {}
        # video id -> shard, first picture, number of frames
        self.place: dict[str, tuple[int, int, int]] = {}
        self.offsets: list[np.ndarray] = []
        for shard, path in enumerate(self.shards):
            self.index(shard, path)

    def index(self, shard: int, path: Path) -> None:
        """Read where every picture of a shard lies."""
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT or "complete" not in file.attrs:
                    raise CacheError(
                        f"{path}: not a finished frame cache. Delete it and run snakemake again."
                    )
                first = file["first_frame"][:].tolist()
                for i, video_id in enumerate(file["video_id"].asstr()[:]):
                    self.place[video_id] = (shard, first[i], first[i + 1] - first[i])
                self.offsets.append(file["offsets"][:])
        except OSError as error:
            raise CacheError(
                f"{path}: cannot be read ({error}). Delete it and run snakemake again."
            ) from None

    def file(self, shard: int) -> h5py.File:
        """This process's handle; HDF5 handles must not pass through a fork."""
        key = (os.getpid(), shard)
        if key not in self.files:
            self.files[key] = h5py.File(self.shards[shard], "r")
        return self.files[key]

    def read(self, video_id: str, indices: np.ndarray) -> np.ndarray:
        """Frames by number, in the order asked for. -> (T, H, W, 3) uint8 RGB"""
        if video_id not in self.place:
            raise CacheError(
                f"{self.shards[0].parent}: video {video_id!r} is not in the cache. "
                "Make it again with this manifest: `lgdnet cache`."
            )
        shard, first, num_frames = self.place[video_id]
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.min() < 0 or wanted.max() >= num_frames:
            raise CacheError(
                f"{self.shards[shard]}: {video_id!r} has {num_frames} frames, {wanted.max()} was asked for."
            )
        offsets, jpeg = self.offsets[shard], self.file(shard)["jpeg"]
        unique, where = np.unique(wanted, return_inverse=True)
        pictures: list[Any] = []
        for run in np.split(unique, np.flatnonzero(np.diff(unique) > 8) + 1):  # near frames in one read
            start = offsets[first + run[0]]
            block = jpeg[start : offsets[first + run[-1] + 1]]
            for i in run:
                picture = block[offsets[first + i] - start : offsets[first + i + 1] - start]
                pictures.append(cv2.imdecode(picture, cv2.IMREAD_COLOR_RGB))
        return np.stack(pictures)[where]
