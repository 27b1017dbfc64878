"""The file of log-mel frames: one HDF5 per shard of a manifest.

mel                   (frames, NUM_MELS) float16   all videos one after the other
first_frame           (videos + 1,) int64          video i owns frames first_frame[i] .. first_frame[i + 1]
video_id, codec       (videos,) text
the other SoundFacts  (videos,)                    true start, duration, has_audio, peak, ...
frame_time_sec        (pictures,) float64          when each picture is shown, of videos with a variable rate
first_frame_time      (videos + 1,) int64          video i owns times first_frame_time[i] .. [i + 1]; mostly none
sum, sum_of_squares   (videos, NUM_MELS) float64   over a video's frames, for the standardisation
attributes            format, num_videos, complete, settings, inputs, code_version

float16 keeps three decimals: an error below 0.004 in values that spread by 2 to 4, for half the bytes.
The file is written beside its place and renamed when it is whole; an hour of sound is 92 MB.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from lgdnet.artefact import atomic
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.reading import AudioError, SoundFacts

FORMAT = "lgdnet-mel-2"
CHUNK_FRAMES = 256
TEXT_FIELDS = {"codec"}


class MelWriter:
    """Writes one shard, video by video, blocks of frames as they come: memory holds one block.

    A context manager; leaving it in order makes the file, leaving it with an exception leaves nothing.
    """

    def __init__(self, path: Path, *, provenance: Mapping[str, str]) -> None:
        self._place = atomic(path)
        self._provenance = provenance
        self._ids: list[str] = []
        self._facts: list[SoundFacts] = []
        self._first_frame = [0]
        self._first_frame_time = [0]
        self._sums: list[np.ndarray] = []

    def __enter__(self) -> "MelWriter":
        self._h5 = h5py.File(self._place.__enter__(), "w", libver=("v110", "v110"))  # with checksums
        self._mel = self._h5.create_dataset(
            "mel",
            shape=(0, NUM_MELS),
            maxshape=(None, NUM_MELS),
            chunks=(CHUNK_FRAMES, NUM_MELS),
            dtype="float16",
            fletcher32=True,
        )
        self._times = self._h5.create_dataset(
            "frame_time_sec", shape=(0,), maxshape=(None,), chunks=(CHUNK_FRAMES,), dtype="float64"
        )
        return self

    def add_frames(self, mel: np.ndarray) -> None:
        """Log-mel frames (frames, NUM_MELS) of the video that the next `end_video` names."""
        if len(self._sums) == len(self._ids):
            self._sums.append(np.zeros((2, NUM_MELS)))
        stored = mel.astype(np.float16)
        end = len(self._mel) + len(stored)
        self._mel.resize(end, axis=0)
        self._mel[end - len(stored) :] = stored
        exact = mel.astype(np.float64)
        self._sums[-1] += np.stack([exact.sum(0), np.square(exact).sum(0)])

    def end_video(self, video_id: str, facts: SoundFacts, frame_times_sec: np.ndarray | None = None) -> None:
        """The frames since the last call are this video's; there may be none.

        `frame_times_sec`: (pictures,), when each is shown, of a video whose rate is not constant.
        """
        if len(self._sums) == len(self._ids):
            self._sums.append(np.zeros((2, NUM_MELS)))
        self._ids.append(video_id)
        self._facts.append(facts)
        self._first_frame.append(len(self._mel))
        if frame_times_sec is not None and len(frame_times_sec):
            self._times.resize(len(self._times) + len(frame_times_sec), axis=0)
            self._times[-len(frame_times_sec) :] = frame_times_sec
        self._first_frame_time.append(len(self._times))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write_tables()
        finally:
            self._h5.close()
            self._place.__exit__(kind, error, trace)

    def _write_tables(self) -> None:
        h5 = self._h5
        h5["video_id"] = np.array(self._ids, dtype=object) if self._ids else np.array([], dtype="S1")
        h5["first_frame"] = np.array(self._first_frame, np.int64)
        h5["first_frame_time"] = np.array(self._first_frame_time, np.int64)
        for name in (field.name for field in fields(SoundFacts)):
            values = [getattr(facts, name) for facts in self._facts]
            h5[name] = np.array(values, dtype="S" if name in TEXT_FIELDS else None)
        sums = np.array(self._sums).reshape(-1, 2, NUM_MELS)
        h5["sum"], h5["sum_of_squares"] = sums[:, 0], sums[:, 1]
        h5.attrs.update(self._provenance)
        h5.attrs.update(format=FORMAT, num_videos=len(self._ids), complete=True)


class MelStore:
    """Log-mel frames of the videos of several shards, by video id. Each process opens files when it reads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self._files: dict[Path, h5py.File] = {}
        self._place: dict[str, tuple[Path, int, int]] = {}  # video id -> file, first frame, end
        self._times: dict[str, tuple[int, int]] = {}  # video id -> first time, end, in the same file
        self._facts: dict[str, SoundFacts] = {}
        for path in self.paths:
            self._read_tables(path)

    def _read_tables(self, path: Path) -> None:
        with open_shard(path) as h5:
            first = h5["first_frame"][:].tolist()
            first_time = h5["first_frame_time"][:].tolist()
            ids = [value.decode() for value in h5["video_id"][:]]
            columns = {field.name: h5[field.name][:].tolist() for field in fields(SoundFacts)}
        columns["codec"] = [value.decode() for value in columns["codec"]]
        for i, video_id in enumerate(ids):
            if video_id in self._place:
                raise AudioError(
                    f"{path}: video {video_id!r} is also in {self._place[video_id][0]}. "
                    "Name the shards of one split only."
                )
            self._place[video_id] = (path, first[i], first[i + 1])
            if first_time[i] < first_time[i + 1]:
                self._times[video_id] = (first_time[i], first_time[i + 1])
            self._facts[video_id] = SoundFacts(**{name: column[i] for name, column in columns.items()})

    @property
    def video_ids(self) -> list[str]:
        """In the order of the files."""
        return list(self._place)

    def facts(self, video_id: str) -> SoundFacts:
        """What the sound of this video is."""
        self._check(video_id)
        return self._facts[video_id]

    def num_frames(self, video_id: str) -> int:
        """Log-mel frames of this video; 0 without sound."""
        self._check(video_id)
        _, first, end = self._place[video_id]
        return end - first

    def frames(self, video_id: str, first: int = 0, end: int | None = None) -> np.ndarray:
        """Frames first .. end of this video, as far as they exist. -> (frames, NUM_MELS) float16"""
        self._check(video_id)
        _, video_first, video_end = self._place[video_id]
        low = min(video_first + max(first, 0), video_end)
        high = video_end if end is None else max(min(video_first + end, video_end), low)
        return self._read(video_id, "mel", low, high)

    def frame_times_sec(self, video_id: str) -> np.ndarray:
        """When each picture is shown, (pictures,) float64 from the first one on; (0,) where its rate is constant."""
        self._check(video_id)
        if video_id not in self._times:
            return np.zeros(0)
        return self._read(video_id, "frame_time_sec", *self._times[video_id])

    def _read(self, video_id: str, dataset: str, low: int, high: int) -> np.ndarray:
        path = self._place[video_id][0]
        if path not in self._files:
            self._files[path] = open_shard(path)
        try:
            return self._files[path][dataset][low:high]
        except OSError as error:
            raise AudioError(
                f"{path}: frames of {video_id!r} do not read ({error}). Delete the file and run "
                "`snakemake audio` to make it again."
            ) from error

    def _check(self, video_id: str) -> None:
        if video_id not in self._place:
            places = ", ".join(map(str, self.paths[:3]))
            raise AudioError(
                f"{places}: no sound of {video_id!r}, not even that it has none. Delete the files and run "
                "`snakemake audio` to make them again."
            )

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_files": {}}  # an open HDF5 file does not travel between processes


def open_shard(path: Path) -> h5py.File:
    """A whole file of this format, open for reading."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file of log-mel frames. Make it with `snakemake audio`.")
    try:
        h5 = h5py.File(path, "r")
    except OSError as error:
        raise AudioError(
            f"{path}: not an HDF5 file ({error}). Delete it and run `snakemake audio` to make it again."
        ) from error
    found = h5.attrs.get("format")
    if found != FORMAT or not h5.attrs.get("complete", False):
        h5.close()
        raise AudioError(
            f"{path}: format is {found!r}, {FORMAT!r} is needed. "
            "Delete it and run `snakemake audio` to make it again."
        )
    return h5


def sums_of(paths: Iterable[Path]) -> tuple[int, np.ndarray, np.ndarray]:
    """Frames, sum and sum of squares (NUM_MELS,) over all audible videos of some shards."""
    count, total, squares = 0, np.zeros(NUM_MELS), np.zeros(NUM_MELS)
    for path in paths:
        store = MelStore([path])
        audible = np.array([store.facts(video_id).is_audible for video_id in store.video_ids], bool)
        count += sum(store.num_frames(video_id) for video_id in np.array(store.video_ids, object)[audible])
        with open_shard(path) as h5:
            total += h5["sum"][:][audible].sum(0)
            squares += h5["sum_of_squares"][:][audible].sum(0)
    return count, total, squares


def summary(facts: Sequence[SoundFacts]) -> dict[str, int]:
    """Counts for the log and the report."""
    return {
        "videos": len(facts),
        "without_track": sum(not f.has_audio for f in facts),
        "silent": sum(f.has_audio and not f.is_audible for f in facts),
        "with_gaps": sum(f.num_gaps > 0 for f in facts),
        "damaged": sum(f.num_bad_packets > 0 for f in facts),
        "late": sum(f.has_audio and f.start_sec > 0.1 for f in facts),
    }
