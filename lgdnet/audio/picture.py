"""A picture of a sound: waveform and log-mel frames, with the segments that the network hears marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lgdnet.audio.grid import FRAMES_PER_SEC, HOP_SAMPLES, NUM_MELS, SAMPLE_RATE
from lgdnet.audio.reading import SoundFacts

LARGEST_COLUMNS = 4000  # of the picture of a long sound


class Span(NamedTuple):
    """A segment in seconds, on the clock of the pictures."""

    start_sec: float
    end_sec: float


def spans(firsts: Sequence[int], *, segment_frames: int, start_sec: float) -> list[Span]:
    """Where segments lie whose first log-mel frames are `firsts`, in a sound that starts at `start_sec`."""
    return [
        Span(start_sec + first / FRAMES_PER_SEC, start_sec + (first + segment_frames) / FRAMES_PER_SEC)
        for first in firsts
    ]


def envelope(samples: np.ndarray, num_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest sample of each of up to `num_columns` equal parts: (samples,) -> two of (columns,)."""
    edges = np.linspace(0, len(samples), min(num_columns, len(samples)) + 1).astype(int)[:-1]
    return np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)


def draw_sound(
    path: Path,
    samples: np.ndarray,
    mel: np.ndarray,
    facts: SoundFacts,
    marked: Sequence[Span],
    *,
    title: str,
    video_sec: float = 0.0,
) -> None:
    """Write a PNG. (samples,) float32, (frames, NUM_MELS); `video_sec` is how long the pictures last."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    start_sec, end_sec = facts.start_sec, facts.start_sec + facts.duration_sec
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    low, high = envelope(samples, LARGEST_COLUMNS)
    times = start_sec + (np.arange(len(low)) + 0.5) / len(low) * len(samples) / SAMPLE_RATE
    above.fill_between(times, low, high, linewidth=0.3, color="tab:blue")
    above.set(ylabel="sound", ylim=(-1.05 * max(facts.peak, 1e-3), 1.05 * max(facts.peak, 1e-3)))
    above.set_title(f"{title}: {described(facts)}", fontsize=10)
    half = HOP_SAMPLES / SAMPLE_RATE / 2
    every = max(len(mel) // LARGEST_COLUMNS, 1)
    extent = (start_sec - half, end_sec + half, 0, NUM_MELS)
    image = below.imshow(mel[::every].T, origin="lower", aspect="auto", extent=extent, cmap="magma")
    below.set(xlabel="seconds since the first picture", ylabel="mel bin (60 to 7800 Hz)")
    figure.colorbar(image, ax=below, label="log power", pad=0.01)
    for i, span in enumerate(marked):
        height = 3 + i % 5 * 4  # neighbours overlap: five levels
        below.plot(span, (height, height), color="white", linewidth=1.2, marker="|", markersize=4)
        below.plot(sum(span) / 2, height, color="cyan", marker=".", markersize=4)
    below.set_xlim(
        min([start_sec, 0.0, *(s.start_sec for s in marked)]),
        max([end_sec, video_sec, *(s.end_sec for s in marked)]),
    )
    if video_sec:
        for axes in (above, below):
            axes.axvline(0, color="tab:green", linewidth=1)
            axes.axvline(video_sec, color="tab:green", linewidth=1)
    FigureCanvasAgg(figure).print_png(path)


def described(facts: SoundFacts) -> str:
    """One line of facts."""
    channels = {1: "mono", 2: "stereo"}.get(facts.num_channels, f"{facts.num_channels} channels")
    words = [f"{facts.codec} {facts.sample_rate} Hz {channels}", f"{facts.duration_sec:.2f} s"]
    if abs(facts.start_sec) >= 0.01:
        words.append(f"starts at {facts.start_sec:+.2f} s")
    if facts.num_gaps:
        words.append(f"{facts.num_gaps} gaps")
    if facts.num_bad_packets:
        words.append(f"{facts.num_bad_packets} bad packets")
    if not facts.is_audible:
        words.append("silent")
    return ", ".join(words)
