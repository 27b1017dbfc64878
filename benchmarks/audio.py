"""Sound to log-mel frames, ours against librosa's usual chain, and the memory that three hours of sound take.

    python benchmarks/audio.py                    files made on the spot
    python benchmarks/audio.py sound/*.ogg ...    your own; librosa must be able to open them, too

Both chains run in this process on one core, in turns; the figure that carries over to other machines is their
ratio. "hours/s" are hours of sound per second of processor time.
"""

import argparse
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import librosa
import numpy as np
import torch

from lgdnet.audio.extraction import extract
from lgdnet.audio.grid import POWER_FLOOR
from lgdnet.audio.logmel import log_mel
from lgdnet.audio.reading import read_sound

ROUNDS = 5
RATE = 44_100


def music(seconds: float, channels: int) -> np.ndarray:
    """Something with tones and noise. (samples, channels) float32"""
    generator = np.random.default_rng(0)
    times = np.arange(int(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * times * (1 + 0.01 * np.sin(times))) for hertz in (110, 440, 2500))
    noise = generator.normal(0, 0.3, (len(times), channels))
    return (0.1 * (np.asarray(tones)[:, None] + noise)).astype(np.float32)


def encode(path: Path, sound: np.ndarray, codec: str) -> Path:
    """One file of sound."""
    layout = {1: "mono", 2: "stereo"}[sound.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        format = stream.codec_context.format.name
        step = stream.codec_context.frame_size or 1024
        for start in range(0, len(sound), step):
            part = sound[start : start + step]
            if format.startswith("s16"):
                part = (part.clip(-1, 1) * 32767).astype(np.int16)
            array = np.ascontiguousarray(part.T) if format.endswith("p") else part.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(array, format=format, layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def ours(path: Path) -> np.ndarray:
    """(frames, mels)"""
    return log_mel(read_sound(path)[0])


def librosas(path: Path) -> np.ndarray:
    """(frames, mels)"""
    return librosas_mel(librosa.load(path, sr=16_000, mono=True)[0])


def librosas_mel(samples: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=128, fmin=60, fmax=7800
    )
    return np.log(power.T + POWER_FLOOR)


def processor_sec(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def compare_speed(name: str, paths: Sequence[Path]) -> None:
    """One line: both chains over all files, in turns, the best of some rounds each."""
    ours(paths[0]), librosas(paths[0])  # imports, filter banks, caches
    rounds = [
        [processor_sec(lambda f=f: [f(p) for p in paths]) for f in (ours, librosas)] for _ in range(ROUNDS)
    ]
    our_sec, librosa_sec = np.min(rounds, axis=0)
    hours = sum(len(read_sound(path)[0]) for path in paths) / 16_000 / 3600
    print(
        f"{name:32s} {len(paths):4d} files {hours * 60:6.1f} min   ours {hours / our_sec:6.3f} hours/s   "
        f"librosa {hours / librosa_sec:6.3f} hours/s   {librosa_sec / our_sec:5.1f} x"
    )


def compare_mel(paths: Sequence[Path]) -> None:
    """The step from samples to log-mel frames alone."""
    sounds = [read_sound(path)[0] for path in paths]
    rounds = [
        [processor_sec(lambda f=f: [f(sound) for sound in sounds]) for f in (log_mel, librosas_mel)]
        for _ in range(ROUNDS)
    ]
    our_sec, librosa_sec = np.min(rounds, axis=0)
    print(f"log-mel alone, of the same samples: {librosa_sec / our_sec:.1f} x")


def compare_numbers(paths: Sequence[Path]) -> None:
    """The largest difference of any mel bin of any frame, on the same samples."""
    largest = 0.0
    for path in paths:
        samples, _ = read_sound(path)
        theirs = np.exp(librosas_mel(samples).astype(np.float64))
        largest = max(largest, float(np.abs(np.exp(log_mel(samples).astype(np.float64)) / theirs - 1).max()))
    print(f"largest relative difference of mel power + {POWER_FLOOR:g}: {largest:.1e}")


def peak_mib(path: Path, seconds: float) -> None:
    """In a fresh process: decode, transform, write, and say what it took."""
    torch.set_num_threads(1)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        facts = extract(path, Path(folder) / "frames", video_id="long")
    used = time.process_time() - start
    peak = own_peak_mib()
    assert abs(facts.duration_sec / seconds - 1) < 0.01, facts
    hours = facts.duration_sec / 3600
    print(
        f"{hours * 60:7.1f} min of AAC: peak memory {peak:6.0f} MiB, {used:5.1f} s, {hours / used:.3f} hours/s"
    )


def own_peak_mib() -> float:
    """Peak resident memory of this program alone.

    `getrusage` counts the parent in, too: its figure survives the exec that starts a process.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def compare_memory(folder: Path, hours: float) -> None:
    """One minute, and hours of it one after the other: frames of ADTS can simply be repeated."""
    minute = encode(folder / "minute.aac", music(60, 2), "aac")
    long = folder / "long.aac"
    with long.open("wb") as file:
        for _ in range(round(hours * 60)):
            file.write(minute.read_bytes())
    spawn = multiprocessing.get_context("spawn")
    for path, seconds in ((minute, 60.0), (long, hours * 3600)):
        process = spawn.Process(target=peak_mib, args=(path, seconds))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{path.name} failed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--hours", type=float, default=3.0, help="length of the long file; 0 leaves it out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.files:
            groups = {"files named": args.files}
        else:
            sound = music(60, 2)
            groups = {
                "FLAC 44.1 kHz stereo": [encode(folder / "a.flac", sound, "flac")],
                "WAV 44.1 kHz stereo": [encode(folder / "a.wav", sound, "pcm_s16le")],
                "MP2 44.1 kHz stereo": [encode(folder / "a.mp2", sound, "mp2")],
            }
        for group, paths in groups.items():
            compare_speed(group, paths)
        compare_mel([path for paths in groups.values() for path in paths])
        compare_numbers([path for paths in groups.values() for path in paths])
        if args.hours:
            compare_memory(folder, args.hours)


if __name__ == "__main__":
    main()
