"""From a media file to log-mel frames, in processes that can be killed.

A decoder that hangs or crashes on one file must not take hours of a shard with it. Frames travel through a
file next to the result, so that memory stays bounded however long the sound is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lgdnet.audio.frame_times import frame_times
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.noise import add_white_noise, mean_power, noise_generator
from lgdnet.audio.reading import AudioError, Sound, SoundFacts, probe_sound
from lgdnet.settings import AudioSettings
from lgdnet.watchdog import Failure, Worker, killable_map

MEMORY_GIB = 8.0  # of address space; torch and PyAV take 3 to 4, decoding a bounded block takes little
ROWS_AT_ONCE = 65_536  # 32 MB


class Noise(NamedTuple):
    """White noise to add: decibels of the sound above it, and the seed."""

    snr_db: float
    seed: int

    @classmethod
    def of(cls, settings: AudioSettings) -> "Noise | None":
        """As a challenge says it; None for none."""
        return None if settings.noise is None else cls(settings.noise.snr_db, settings.noise.seed)


class Extracted(NamedTuple):
    """One video's sound; `blocks()` of its frames must be read before the next one is asked for."""

    position: int  # in the list that was asked for
    facts: SoundFacts
    frames_file: Path
    frame_times_sec: np.ndarray  # (pictures,) float64, when each is shown; (0,) where that was not asked for

    def blocks(self) -> Iterator[np.ndarray]:
        """(frames, NUM_MELS) float32"""
        with self.frames_file.open("rb") as file:
            while (values := np.fromfile(file, np.float32, ROWS_AT_ONCE * NUM_MELS)).size:
                yield values.reshape(-1, NUM_MELS)


def extract(path: Path, frames_file: Path, *, video_id: str, noise: Noise | None = None) -> SoundFacts:
    """Write the log-mel frames of one file as raw float32 rows and return what its sound is."""
    from lgdnet.audio.logmel import log_mel_blocks  # brings torch and librosa, which the caller does not need

    sound = Sound(path)
    blocks: Iterable[np.ndarray] = sound.blocks()
    if noise is not None:  # a first pass for the power of the sound
        blocks = add_white_noise(
            blocks,
            snr_db=noise.snr_db,
            power=mean_power(Sound(path).blocks()),
            generator=noise_generator(noise.seed, video_id),
        )
    with frames_file.open("wb") as file:
        for frames in log_mel_blocks(blocks):
            np.ascontiguousarray(frames).tofile(file)
    return sound.facts


def extract_all(
    videos: Sequence[tuple[str, Path]],
    work_dir: Path,
    *,
    noise: Noise | None = None,
    num_workers: int = 1,
    timeout_sec: float,
    variable_rate: Mapping[str, int] | None = None,
) -> Iterator[Extracted]:
    """The sound of every (video id, path), in this order. `work_dir` holds frames of few videos at a time.

    `variable_rate`: number of pictures of those videos whose pictures' times are wanted, too.

    AudioError names a file that does not open, or whose decoder hangs or crashes.
    """
    calls = [
        call_of(video_id, path, work_dir / str(i), noise, variable_rate or {})
        for i, (video_id, path) in enumerate(videos)
    ]
    outcomes = killable_map(
        f"{__name__}:answer", calls, num_workers=num_workers, timeout_sec=timeout_sec, memory_gib=MEMORY_GIB
    )
    waiting: dict[int, SoundFacts] = {}
    next_position = 0
    for position, outcome in outcomes:
        if isinstance(outcome, Failure):
            raise failure(*videos[position], outcome, timeout_sec)
        waiting[position] = SoundFacts(**outcome)
        while next_position in waiting:
            yield from handed_over(next_position, waiting.pop(next_position), work_dir / str(next_position))
            next_position += 1


class Listener:
    """Extracts the sound of one video after another in one process that can be killed."""

    def __init__(self) -> None:
        self.worker = Worker(f"{__name__}:answer", memory_gib=MEMORY_GIB)

    def extract(
        self,
        video_id: str,
        path: Path,
        work_dir: Path,
        *,
        noise: Noise | None = None,
        timeout_sec: float,
        variable_rate: Mapping[str, int] | None = None,
    ) -> Iterator[Extracted]:
        """As `extract_all`, of one video."""
        frames_file = work_dir / "0"
        call = call_of(video_id, path, frames_file, noise, variable_rate or {})
        outcome = self.worker.call(*call, timeout_sec=timeout_sec)
        if isinstance(outcome, Failure):
            raise failure(video_id, path, outcome, timeout_sec)
        yield from handed_over(0, SoundFacts(**outcome), frames_file)

    def stop(self) -> None:
        """End the process."""
        self.worker.stop()


def call_of(
    video_id: str, path: Path, frames_file: Path, noise: Noise | None, variable_rate: Mapping[str, int]
) -> tuple[Any, ...]:
    """Arguments of `answer`."""
    plain_noise = None if noise is None else tuple(noise)
    return str(path), str(frames_file), video_id, plain_noise, variable_rate.get(video_id, 0)


def handed_over(position: int, facts: SoundFacts, frames_file: Path) -> Iterator[Extracted]:
    """What a worker process left in files, which are deleted when the next video is asked for."""
    times_file = times_beside(frames_file)
    yield Extracted(position, facts, frames_file, np.fromfile(times_file, np.float64))
    frames_file.unlink()
    times_file.unlink()


def failure(video_id: str, path: Path, outcome: Failure, timeout_sec: float) -> AudioError:
    """Why there are no frames of a file."""
    if outcome.kind == "error":
        return AudioError(outcome.message.removeprefix(f"{AudioError.__module__}.AudioError: "))
    what = {
        "timeout": f"its sound did not decode within {timeout_sec:g} s",
        "crash": f"the decoder of its sound crashed ({outcome.message})",
    }[outcome.kind]
    way_out = f"Add {video_id!r} to audio.leave_out, so that this stream gives it no score"
    if outcome.kind == "timeout":
        way_out += ", or raise audio.timeout_sec"
    return AudioError(f"{path}: {what}. {way_out}.")


def times_beside(frames_file: Path) -> Path:
    """Where a worker process leaves the times of the pictures."""
    return frames_file.with_name(f"{frames_file.name}.times")


def answer(
    path: str, frames_file: str, video_id: str, noise: tuple[float, int] | None, num_pictures: int
) -> dict:
    """`extract` for a worker process: everything that travels is plain."""
    import torch

    torch.set_num_threads(1)
    found = extract(
        Path(path), Path(frames_file), video_id=video_id, noise=None if noise is None else Noise(*noise)
    )
    wanted = num_pictures if found.has_audio else 0
    times = frame_times(Path(path), wanted) if wanted else np.zeros(0)
    times.tofile(times_beside(Path(frames_file)))
    return asdict(found)


def probe_as_dict(path: str) -> dict:
    """`probe_sound` for a worker process."""
    return asdict(probe_sound(Path(path)))
