"""Decoded frames of sound, of any format, to mono samples at 16 kHz with FFmpeg's resampler."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av import AudioStream
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.filter import Graph

from lgdnet.audio.grid import SAMPLE_RATE


def format_of(frame: AudioFrame) -> tuple[int, str, str]:
    """What may change within a track: sample rate, channels, sample format."""
    return frame.sample_rate, frame.layout.name, frame.format.name


class Run:
    """Frames of one format that follow each other without a gap, mixed to mono and resampled.

    Frames of AAC or MP3 are 20 ms long; collecting a second of them first saves a third of the time.
    FFmpeg's own mix to floating-point mono is louder the more channels there are; `rematrix_maxval` keeps it
    within what a mono track of the same sound has, as FFmpeg does for 16 bit: two channels become their mean.
    """

    def __init__(self, first: AudioFrame) -> None:
        self.format = format_of(first)
        self._has_names = bool(first.layout.name) and not first.layout.name.endswith("channels")
        self._graph = resampling(first if self._has_names else mean_of_channels(first))
        self._fifo = AudioFifo()

    def add(self, frame: AudioFrame) -> None:
        if not self._has_names:
            frame = mean_of_channels(frame)
        frame.pts = None  # the fifo would insist on time stamps without jitter
        self._fifo.write(frame)

    @property
    def is_full(self) -> bool:
        """A second has been collected."""
        return self._fifo.samples >= self.format[0]

    def resampled(self) -> Iterator[np.ndarray]:
        """What was collected, (samples,) float32 at SAMPLE_RATE, as far as the resampler is done with it."""
        collected = self._fifo.read()
        if collected is not None:
            self._graph.push(collected)
            yield from self._pulled()

    def finish(self) -> Iterator[np.ndarray]:
        """All the rest."""
        yield from self.resampled()
        self._graph.push(None)
        yield from self._pulled()

    def _pulled(self) -> Iterator[np.ndarray]:
        while True:
            try:
                yield self._graph.pull().to_ndarray()[0]
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def resampling(frame: AudioFrame) -> Graph:
    """FFmpeg's resampler, for frames like this one."""
    graph = Graph()
    graph.threads = 1  # else it starts and stops a pool of threads that a resampler has no use for
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=Fraction(1, frame.sample_rate),
    )
    resample = graph.add("aresample", f"osr={SAMPLE_RATE}:ochl=mono:osf=flt:rematrix_maxval=1")
    sink = graph.add("abuffersink")
    source.link_to(resample)
    resample.link_to(sink)
    graph.configure()
    return graph


def name_common_layouts(sound: AudioStream) -> None:
    """One channel is mono and two are stereo, where a file (most of WAV) leaves that open; as ffmpeg does."""
    known = {1: "mono", 2: "stereo"}
    codec = sound.codec_context
    if codec.layout.name.endswith("channels") and codec.layout.nb_channels in known:
        codec.layout = known[codec.layout.nb_channels]


def mean_of_channels(frame: AudioFrame) -> AudioFrame:
    """The plain mean over channels, where nobody says which channel is which."""
    channels = frame.layout.nb_channels
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    unsigned = samples.dtype == np.uint8
    full_scale = 1.0 if samples.dtype.kind == "f" else float(2 ** (8 * samples.itemsize - 1))
    mono = (samples.mean(0, dtype=np.float64, keepdims=True) - 128.0 * unsigned) / full_scale
    plain = AudioFrame.from_ndarray(mono.astype(np.float32), format="flt", layout="mono")
    plain.sample_rate = frame.sample_rate
    return plain
