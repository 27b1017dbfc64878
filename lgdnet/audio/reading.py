"""Sound of any video or audio file as mono samples at 16 kHz, block by block, on the clock of the pictures.

PyAV decodes and its resampler (FFmpeg's) mixes and converts. Samples are placed by their time stamps: what a
damaged or thinned track lacks becomes silence of the same length, so that sound and pictures stay together.
Memory does not grow with the length of the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av import AudioStream, Packet, VideoStream
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.stream import Disposition

from lgdnet.audio.grid import SAMPLE_RATE
from lgdnet.audio.resampling import Run, format_of, name_common_layouts
from lgdnet.errors import InputError
from lgdnet.ffmpeg import name_for_ffmpeg

BLOCK_SAMPLES = 10 * SAMPLE_RATE
SILENCE_PEAK = (
    1e-4  # -80 dB of full scale, about three steps of 16 bit: below it lies rounding, not sound. Our choice
)
MAX_HOURS = 12.0

GAP_SEC = 0.05  # time stamps of some containers are coarse (1 ms) or drift; what players tolerate, too
MAX_GAP_SEC = 60.0  # a longer jump is a broken clock, not missing sound: continue without filling
MAX_PACKETS_TO_FIRST_PICTURE = 300
MAX_PIXELS = 8192 * 4352  # of the first picture: 8K; a small file can promise pictures of gigabytes


class AudioError(InputError):
    """A sound that cannot be read, or a file of log-mel frames that does not fit."""


@dataclass(frozen=True)
class SoundFacts:
    """What a file's sound is; all zero where there is none. Times in seconds.

    `start_sec`: the first sample on the clock whose zero is the first picture shown (0 without pictures);
    positive when the sound starts late. `duration_sec`: of what was decoded, gaps filled.
    `declared_sec`: what the container promises of the track, from its first sample on. `peak`: largest magnitude after mixing, 1 is full scale.
    """

    has_audio: bool = False
    start_sec: float = 0.0
    duration_sec: float = 0.0
    declared_sec: float = 0.0
    sample_rate: int = 0
    num_channels: int = 0
    codec: str = ""
    peak: float = 0.0
    num_gaps: int = 0
    num_bad_packets: int = 0

    @property
    def is_audible(self) -> bool:
        """False for no track, an empty track and digital silence: nothing to tell classes apart by."""
        return self.has_audio and self.peak > SILENCE_PEAK


class Sound:
    """The sound of one file. Iterate over `blocks()` once; `facts` are complete when they end."""

    def __init__(self, path: Path, *, max_hours: float = MAX_HOURS) -> None:
        self.path = path
        self._max_samples = int(max_hours * 3600 * SAMPLE_RATE)
        self._max_hours = max_hours
        self._num_samples = 0
        self._num_gaps = 0
        self._num_bad_packets = 0
        self._peak = 0.0
        self._first_sound_sec: float | None = None
        self._first_picture_sec: float | None = None
        self._declared_sec = 0.0
        self._declared_end_sec: float | None = None  # where only that is promised
        self._sample_rate = 0
        self._num_channels = 0
        self._codec = ""

    @property
    def facts(self) -> SoundFacts:
        if self._num_samples == 0 or self._first_sound_sec is None:
            return SoundFacts(num_bad_packets=self._num_bad_packets)
        pictures_start = self._first_picture_sec
        return SoundFacts(
            has_audio=True,
            start_sec=0.0 if pictures_start is None else self._first_sound_sec - pictures_start,
            duration_sec=self._num_samples / SAMPLE_RATE,
            declared_sec=self._declared(self._first_sound_sec),
            sample_rate=self._sample_rate,
            num_channels=self._num_channels,
            codec=self._codec,
            peak=self._peak,
            num_gaps=self._num_gaps,
            num_bad_packets=self._num_bad_packets,
        )

    def _declared(self, first_sound_sec: float) -> float:
        if self._declared_end_sec is None:
            return self._declared_sec
        return max(self._declared_end_sec - first_sound_sec, 0.0)

    def blocks(self) -> Iterator[np.ndarray]:
        """(samples,) float32 arrays of BLOCK_SAMPLES, the last one shorter; none where there is no sound."""
        waiting: list[np.ndarray] = []
        num_waiting = 0
        for piece in self._pieces():
            for part in np.split(piece, range(BLOCK_SAMPLES - num_waiting, len(piece), BLOCK_SAMPLES)):
                waiting.append(part)
                num_waiting += len(part)
                if num_waiting == BLOCK_SAMPLES:
                    yield self._counted(waiting)
                    waiting, num_waiting = [], 0
        if num_waiting:
            yield self._counted(waiting)

    def _counted(self, pieces: list[np.ndarray]) -> np.ndarray:
        block = np.concatenate(pieces)
        np.nan_to_num(block, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)  # float tracks may hold anything
        self._num_samples += len(block)
        self._peak = max(self._peak, float(np.abs(block).max()))
        if self._num_samples > self._max_samples:
            raise AudioError(
                f"{self.path}: more than {self._max_hours:g} hours of sound. Cut the file into videos, "
                "or drop it from the annotations."
            )
        return block

    def _pieces(self) -> Iterator[np.ndarray]:
        """Samples at 16 kHz as they come out of the resampler, gaps filled with zeros, overlaps dropped."""
        run: Run | None = None
        next_sec = 0.0
        jumped = False
        for frame in self._frames():
            start_sec = next_sec if frame.time is None else frame.time
            if self._first_sound_sec is None:
                self._first_sound_sec = next_sec = start_sec
            lag_sec = start_sec - next_sec
            jumped_before, jumped = jumped, abs(lag_sec) > GAP_SEC
            self._num_gaps += jumped and not jumped_before
            if jumped and -MAX_GAP_SEC <= lag_sec < 0:
                continue  # the same moments twice: the first version stays
            if run is not None and (jumped or format_of(frame) != run.format):
                yield from run.finish()
                run = None
            if jumped and 0 < lag_sec <= MAX_GAP_SEC:
                yield from _silence(round(lag_sec * SAMPLE_RATE))
            if run is None:
                run = Run(frame)
            next_sec = start_sec + frame.samples / frame.sample_rate
            run.add(frame)
            if run.is_full:
                yield from run.resampled()
        if run is not None:
            yield from run.finish()

    def _frames(self) -> Iterator[AudioFrame]:
        """Decoded frames of the best sound track; notes the time of the first picture on the way."""
        try:
            container = av.open(name_for_ffmpeg(self.path), metadata_errors="ignore")
        except (av.error.FFmpegError, OSError) as error:
            raise AudioError(
                f"{self.path}: not a file that FFmpeg can open ({error}). Replace or remove it."
            ) from error
        with container:
            sound = _sound_track(container)
            if sound is None:
                return
            self._note_promise(container, sound)
            name_common_layouts(sound)
            pictures = moving_pictures(container)
            if pictures is not None:
                yield from self._frames_and_first_picture(container, sound, pictures)
            else:
                for packet in packets_of(container, sound):
                    yield from self._decode(packet)

    def _note_promise(self, container: InputContainer, sound: AudioStream) -> None:
        if sound.duration is not None and sound.time_base is not None:
            self._declared_sec = float(sound.duration * sound.time_base)
        elif (end_sec := _promised_end_sec(container, sound)) is not None:
            self._declared_end_sec = end_sec

    def _frames_and_first_picture(
        self, container: InputContainer, sound: AudioStream, pictures: VideoStream
    ) -> Iterator[AudioFrame]:
        looked_at = 0
        if container.format.name == "avi" and pictures.start_time is not None:
            # AVI has no time stamps, only an order; those that FFmpeg makes up run late by the reordering delay.
            self._first_picture_sec = float(pictures.start_time * (pictures.time_base or 0))
        for packet in packets_of(container, sound, pictures):
            if packet.stream is sound:
                yield from self._decode(packet)
            elif self._first_picture_sec is None and looked_at < MAX_PACKETS_TO_FIRST_PICTURE:
                looked_at += 1
                self._first_picture_sec = _time_of_first_picture(packet)
        if self._first_picture_sec is None and pictures.start_time is not None:
            self._first_picture_sec = float(pictures.start_time * (pictures.time_base or 0))

    def _decode(self, packet: Packet) -> Iterator[AudioFrame]:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._num_bad_packets += 1
            return
        for frame in frames:
            if isinstance(frame, AudioFrame) and frame.samples and frame.sample_rate:
                if not self._sample_rate:
                    self._sample_rate = frame.sample_rate
                    self._num_channels = frame.layout.nb_channels
                    self._codec = packet.stream.codec_context.name
                yield frame


def read_sound(path: Path, *, max_hours: float = MAX_HOURS) -> tuple[np.ndarray, SoundFacts]:
    """All of a file's sound, (samples,) float32 at 16 kHz, and what it is.

    AudioError names a file that does not open. For short files; read a long one in `Sound(path).blocks()`.
    """
    sound = Sound(path, max_hours=max_hours)
    blocks = list(sound.blocks())
    return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), sound.facts


def probe_sound(path: Path, *, max_hours: float = MAX_HOURS) -> SoundFacts:
    """What the sound of a file is, by decoding all of it in bounded memory."""
    sound = Sound(path, max_hours=max_hours)
    for _ in sound.blocks():
        pass
    return sound.facts


def packets_of(container: InputContainer, *streams: AudioStream | VideoStream) -> Iterator[Packet]:
    """Packets until the file ends or breaks: what lies behind a broken place cannot be placed in time."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        except IndexError:  # a track that the header did not announce begins; PyAV does not know it
            packets = container.demux(*streams)
            continue
        if packet is None:
            return
        yield packet


def _sound_track(container: InputContainer) -> AudioStream | None:
    """The best sound track that has a decoder.

    Of a track that joins late in a transport stream FFmpeg knows no rate when it opens the file, and does not
    count it among the best ones; decoding tells the rate.
    """
    sound = container.streams.best("audio") or next(iter(container.streams.audio), None)
    return sound if isinstance(sound, AudioStream) and sound.codec_context is not None else None


def _promised_end_sec(container: InputContainer, sound: AudioStream) -> float | None:
    """When the track ends, on the clock of its time stamps, of containers that promise no length of a track.

    Matroska counts from zero, also where the first time stamp is later. The length of a file with pictures
    may be theirs and promises nothing of the sound.
    """
    try:
        hours, minutes, seconds = sound.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:  # nothing said, or nothing that can be understood
        pass
    if container.duration is None or moving_pictures(container) is not None:
        return None
    is_matroska = "matroska" in container.format.name
    first = 0 if is_matroska else container.start_time or 0
    return (first + container.duration) / av.time_base


def moving_pictures(container: InputContainer) -> VideoStream | None:
    """The video track, where there is one that decodes and is not the cover of a record."""
    pictures = container.streams.best("video")
    if (
        not isinstance(pictures, VideoStream)
        or pictures.codec_context is None
        or Disposition.attached_pic in pictures.disposition
    ):
        return None
    if pictures.codec_context.width * pictures.codec_context.height > MAX_PIXELS:
        return None
    pictures.codec_context.thread_count = 1
    return pictures


def _time_of_first_picture(packet: Packet) -> float | None:
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return None
    return next((frame.time for frame in frames if frame.time is not None), None)


def _silence(num_samples: int) -> Iterator[np.ndarray]:
    for start in range(0, num_samples, BLOCK_SAMPLES):
        yield np.zeros(min(BLOCK_SAMPLES, num_samples - start), np.float32)
