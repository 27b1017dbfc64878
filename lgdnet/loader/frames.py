"""RGB clips straight from video files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lgdnet.augment import crop_and_resize, resized
from lgdnet.clips import clip_starts, frame_indices, random_clip_start, random_crop_box, segment_frames
from lgdnet.loader.batches import Loaded
from lgdnet.manifest import Manifest
from lgdnet.video import read_frames
from lgdnet.video.cache import FrameCache, FramesAsCached

# T frames per clip, H x W pixels


class FrameSource:
    """Clips of `clip_length` frames, `frame_stride` apart, `size` x `size` pixels.

    Training: a random clip and a random window of `area` (share of the picture) and `ratio` (width / height),
    the same for all frames, scaled to `size`. Evaluation: the shorter side scaled to `short_side` (`size` if
    None), then one or three windows. `sampling` "segments" takes one frame from each of `clip_length` equal
    parts of the video instead of neighbouring frames. With a `cache` no video file is opened.
    """

    draw = 0  # where in its segment of the video a view lies, see `clip_starts`

    def __init__(
        self,
        manifest: Manifest,
        video_root: Path,
        *,
        clip_length: int,
        frame_stride: int = 1,
        size: int,
        short_side: int | None = None,
        area: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        sampling: Literal["clip", "segments"] = "clip",
        cache: FrameCache | FramesAsCached | None = None,
    ) -> None:
        self.manifest = manifest
        self.video_root = Path(video_root)
        self.clip_length = clip_length
        self.frame_stride = frame_stride
        self.size = size
        self.short_side = short_side or size
        self.area = area
        self.ratio = ratio
        self.sampling = sampling
        self.cache = cache

    def __len__(self) -> int:
        return len(self.manifest)

    def label(self, row: int) -> int:
        return int(self.manifest.labels[row])

    def read(self, row: int, generator: np.random.Generator) -> np.ndarray:
        """One random clip of one video. -> (3, T, size, size) uint8"""
        return self.read_many(row, [generator])[0]

    def read_many(self, row: int, generators: Sequence[np.random.Generator]) -> list[np.ndarray]:
        """One random clip per generator from one decode."""
        indices = np.stack([self.random_indices(row, generator) for generator in generators])  # (clips, T)
        needed, positions = np.unique(indices, return_inverse=True)
        frames = self.decode(row, needed, short_side=self.training_side(row))
        H, W = frames.shape[1:3]
        clips = []
        for generator, where in zip(generators, positions.reshape(indices.shape), strict=True):
            box = random_crop_box(H, W, generator=generator, area=self.area, ratio=self.ratio)
            clips.append(crop_and_resize(frames[where], box, self.size))
        return clips

    def random_indices(self, row: int, generator: np.random.Generator) -> np.ndarray:
        """Frame numbers of a training clip. -> (T,)"""
        num_frames = int(self.manifest.num_frames[row])
        if self.sampling == "segments":
            return segment_frames(num_frames, num_segments=self.clip_length, generator=generator)
        start = random_clip_start(
            num_frames, clip_length=self.clip_length, frame_stride=self.frame_stride, generator=generator
        )
        return self.clip_indices(row, start)

    def clip_indices(self, row: int, start: int) -> np.ndarray:
        """Frame numbers of the clip that starts at `start`. -> (T,)"""
        return frame_indices(
            start,
            clip_length=self.clip_length,
            frame_stride=self.frame_stride,
            num_video_frames=int(self.manifest.num_frames[row]),
        )

    def training_side(self, row: int) -> int | None:
        """Decode no larger than the smallest window needs, and never larger than the video is."""
        needed = int(np.ceil(self.size / self.area[0] ** 0.5))
        native = int(self.manifest.short_sides[row])
        return needed if needed < native else None

    def load_views(self, row: int, *, num_clips: int) -> Loaded:
        """Evenly spaced clips of one video from one decode."""
        num_frames = int(self.manifest.num_frames[row])
        if self.sampling == "segments":
            indices = np.stack(
                [
                    segment_frames(num_frames, num_segments=self.clip_length, offset=(i + 0.5) / num_clips)
                    for i in range(num_clips)
                ]
            )
            starts = indices[:, 0].tolist()
        else:
            starts = clip_starts(
                num_frames,
                num_clips=num_clips,
                clip_length=self.clip_length,
                frame_stride=self.frame_stride,
                draw=self.draw,
            )
            indices = np.stack([self.clip_indices(row, start) for start in starts])  # (clips, T)
        needed, positions = np.unique(indices, return_inverse=True)
        frames = self.decode(row, needed, short_side=self.short_side)
        return Loaded(row, starts, frames, positions.reshape(indices.shape))

    def decode(self, row: int, indices: np.ndarray, *, short_side: int | None) -> np.ndarray:
        """Frames of one video. -> (frames, H, W, 3) uint8"""
        if self.cache is not None:
            return resized(self.cache.read(self.manifest.video_ids[row], indices), short_side)
        path = self.video_root / self.manifest.paths[row]
        return read_frames(path, indices, short_side=short_side, backend=self.manifest.backends[row])
