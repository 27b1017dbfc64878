"""A picture of a sound: waveform and log-mel frames, with the segments that the network hears marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lgdnet.audio.grid import FRAMES_PER_SEC, HOP_SAMPLES, NUM_MELS, SAMPLE_RATE
from lgdnet.audio.reading import SoundFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    """Write `sound_figure` as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = sound_figure(samples, mel, facts, marked, title=title, video_sec=video_sec)
    FigureCanvasAgg(figure).print_png(path)


def sound_figure(
    samples: np.ndarray,
    mel: np.ndarray,
    facts: SoundFacts,
    marked: Sequence[Span],
    *,
    title: str,
    video_sec: float = 0.0,
) -> "Figure":
    """(samples,) float32, (frames, NUM_MELS); `video_sec` is how long the pictures last."""
    from matplotlib.figure import Figure

    start_sec, end_sec = facts.start_sec, facts.start_sec + facts.duration_sec
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    above, below, bars = figure.subplots(3, 1, sharex=True, height_ratios=(2, 4, 1.6))
    low, high = envelope(samples, LARGEST_COLUMNS)
    times = start_sec + (np.arange(len(low)) + 0.5) / len(low) * len(samples) / SAMPLE_RATE
    above.fill_between(times, low, high, linewidth=0.3, color="tab:blue")
    above.set(ylabel="sound", ylim=(-1.05 * max(facts.peak, 1e-3), 1.05 * max(facts.peak, 1e-3)))
    above.set_title(f"{title}: {described(facts)}", fontsize=10)
    half = HOP_SAMPLES / SAMPLE_RATE / 2
    every = max(len(mel) // LARGEST_COLUMNS, 1)
    extent = (start_sec - half, end_sec + half, 0, NUM_MELS)
    image = below.imshow(mel[::every].T, origin="lower", aspect="auto", extent=extent, cmap="magma")
    below.set(ylabel="mel bin (60 to 7800 Hz)")
    bars.set(xlabel="seconds since the first picture (grey: no sound)", ylabel="segments", yticks=[])
    figure.colorbar(image, ax=below, label="log power", pad=0.01)
    draw_segments(bars, marked)
    first_sec = min([start_sec, 0.0, *(s.start_sec for s in marked)])
    last_sec = max([end_sec, video_sec, *(s.end_sec for s in marked)])
    margin = 0.01 * (last_sec - first_sec)
    bars.set_xlim(first_sec - margin, last_sec + margin)
    for axes in (above, below, bars):
        for low_sec, high_sec in ((first_sec - margin, start_sec), (end_sec, last_sec + margin)):
            axes.axvspan(low_sec, high_sec, color="0.85", linewidth=0, zorder=0)  # no sound
    if video_sec:
        for axes in (above, below, bars):
            axes.axvline(0, color="tab:green", linewidth=1)
            axes.axvline(video_sec, color="tab:green", linewidth=1)
    return figure


def rows_of(marked: Sequence[Span]) -> list[int]:
    """A row for each segment, few in all, such that segments of one row neither overlap nor touch."""
    ends: list[float] = []  # of the last segment in each row
    rows = [0] * len(marked)
    for i in sorted(range(len(marked)), key=lambda i: marked[i]):
        row = next((row for row, end_sec in enumerate(ends) if end_sec < marked[i].start_sec), len(ends))
        ends[row : row + 1] = [marked[i].end_sec]
        rows[i] = row
    return rows


def draw_segments(axes: "Axes", marked: Sequence[Span]) -> None:
    """One bar each, its middle marked, the first one on top."""
    rows = rows_of(marked)
    for span, row in zip(marked, rows, strict=True):
        axes.barh(row, span.end_sec - span.start_sec, left=span.start_sec, height=0.7, color="tab:orange")
        axes.plot(sum(span) / 2, row, color="black", marker="|", markersize=5)
    axes.set_ylim(max(rows, default=0) + 0.6, -0.6)


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
