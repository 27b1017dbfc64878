"""Clips of optical flow: from flow files, or computed while training runs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from lgdnet.augment import crop_and_resize
from lgdnet.clips import clip_starts, frame_indices, random_clip_start, random_crop_box, scaled_size
from lgdnet.flow import (
    FlowError,
    FlowFiles,
    Recipe,
    compute_pairs,
    decode_field,
    encode_field,
    quantise,
)
from lgdnet.loader.batches import Loaded
from lgdnet.manifest import Manifest
from lgdnet.video import read_frames

# T fields per clip, H x W pixels; a video of n frames has n - 1 fields, field i leads from frame i to frame i + 1

ReadFields = Callable[[int, np.ndarray], np.ndarray]
"""Row of the manifest and numbers of fields, in any order -> (T, 2, H, W) uint8, x then y, 128 at rest."""


def stored_fields(paths: Sequence[Path], manifest: Manifest, *, expected: Recipe | None = None) -> ReadFields:
    """Fields from the flow files of a split, checked against the manifest and the settings in force."""
    files = FlowFiles(paths, expected=expected)
    files.check(manifest.video_ids.tolist(), manifest.num_frames.tolist(), manifest.digests)
    return lambda row, fields: files.read(manifest.video_ids[row], fields)


def check_lengths(manifest: Manifest) -> None:
    """Flow lies between two frames: a video of one is a FlowError."""
    short = np.flatnonzero(manifest.num_frames < 2)
    if len(short):
        raise FlowError(
            f"{manifest.path}: {manifest.video_ids[short[0]]!r} has {manifest.num_frames[short[0]]} frame, flow "
            "needs two. Set manifest: min_frames: 2 to reject such videos."
        )


def computed_fields(
    manifest: Manifest, video_root: Path, recipe: Recipe, *, device: str = "cpu"
) -> ReadFields:
    """Fields computed from the video each time, for sets that are too small to keep files for.

    They are the same numbers that the flow stage would have written, JPEG and all.
    """
    check_lengths(manifest)

    def read(row: int, fields: np.ndarray) -> np.ndarray:
        needed, back = np.unique(fields, return_inverse=True)
        numbers = np.union1d(needed, needed + 1)
        path = video_root / manifest.paths[row]
        frames = read_frames(path, numbers, short_side=recipe.short_side, backend=manifest.backends[row])
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
        first = np.searchsorted(numbers, needed)
        flow = compute_pairs(
            recipe.algorithm, grey[first], grey[first + 1], parameters=recipe.parameters, device=device
        )
        levels = quantise(flow, recipe.bound)
        return np.stack([decode_field(encode_field(field, recipe.quality)) for field in levels])[back]

    return read


class FlowSource:
    """Clips of `clip_length` fields, `frame_stride` apart, `size` x `size` pixels, in 8 bit with 128 at rest.

    Training: a random clip and a random window of `area` (share of the picture) and `ratio` (width / height),
    the same for all fields, scaled to `size`. Evaluation: the shorter side scaled to `short_side` (`size` if
    None), then one or three windows.

    Scaling a window changes where motions are, never the motions: a field is in pixels of the stored size, and
    the same movement of a hand keeps its number however the window falls. A video with fewer than
    `clip_length` fields starts again at its first.
    """

    draw = 0  # where in its segment of the video a view lies, see `clip_starts`

    def __init__(
        self,
        manifest: Manifest,
        read_fields: ReadFields,
        *,
        clip_length: int,
        frame_stride: int = 1,
        size: int,
        short_side: int | None = None,
        area: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.manifest = manifest
        self.read_fields = read_fields
        self.clip_length = clip_length
        self.frame_stride = frame_stride
        self.size = size
        self.short_side = short_side or size
        self.area = area
        self.ratio = ratio

    def __len__(self) -> int:
        return len(self.manifest)

    def label(self, row: int) -> int:
        return int(self.manifest.labels[row])

    def num_fields(self, row: int) -> int:
        return int(self.manifest.num_frames[row]) - 1

    def read(self, row: int, generator: np.random.Generator) -> np.ndarray:
        """One random clip of one video. -> (2, T, size, size) uint8"""
        start = random_clip_start(
            self.num_fields(row),
            clip_length=self.clip_length,
            frame_stride=self.frame_stride,
            generator=generator,
        )
        fields = self.read_fields(row, self.clip_fields(row, start)).transpose(0, 2, 3, 1)  # (T, H, W, 2)
        H, W = fields.shape[1:3]
        box = random_crop_box(H, W, generator=generator, area=self.area, ratio=self.ratio)
        return crop_and_resize(fields, box, self.size)

    def clip_fields(self, row: int, start: int) -> np.ndarray:
        """Numbers of the fields of the clip that starts at `start`. -> (T,)"""
        return frame_indices(
            start,
            clip_length=self.clip_length,
            frame_stride=self.frame_stride,
            num_video_frames=self.num_fields(row),
        )

    def load_views(self, row: int, *, num_clips: int) -> Loaded:
        """Evenly spaced clips of one video; each field is read once."""
        starts = clip_starts(
            self.num_fields(row),
            num_clips=num_clips,
            clip_length=self.clip_length,
            frame_stride=self.frame_stride,
            draw=self.draw,
        )
        numbers = np.stack([self.clip_fields(row, start) for start in starts])  # (clips, T)
        needed, positions = np.unique(numbers, return_inverse=True)
        fields = resized(self.read_fields(row, needed).transpose(0, 2, 3, 1), short_side=self.short_side)
        return Loaded(row, starts, fields, positions.reshape(numbers.shape))


def resized(fields: np.ndarray, *, short_side: int) -> np.ndarray:
    """Fields with the shorter side scaled to `short_side` pixels, their values kept. (T, H, W, 2) uint8"""
    H, W = fields.shape[1:3]
    if min(H, W) == short_side:
        return fields
    h, w = scaled_size(H, W, short_side=short_side)
    interpolation = cv2.INTER_AREA if h < H else cv2.INTER_LINEAR
    return np.stack([cv2.resize(field, (w, h), interpolation=interpolation) for field in fields])
