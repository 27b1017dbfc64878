"""Log-mel frames: what the audio network sees of a sound.

16 kHz mono, windows of 25 ms every 10 ms, 128 mel bins from 60 to 7800 Hz with librosa's filter bank
(Slaney's scale and area norm), natural logarithm of power plus a floor. The numbers are those of

    librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=128, fmin=60, fmax=7800
    )

in a fraction of the time (benchmarks/audio.py), because torch keeps the window and the filter bank.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lgdnet.audio.grid import HOP_SAMPLES, NUM_MELS, POWER_FLOOR, SAMPLE_RATE

WINDOW_SAMPLES = 400  # 25 ms
FFT_SAMPLES = 512
FRAMES_AT_ONCE = 128  # their spectra stay in the processor's cache
LOWEST_HZ, HIGHEST_HZ = 60.0, 7800.0


@cache
def filter_bank() -> Tensor:
    """librosa's triangular filters, (NUM_MELS, FFT_SAMPLES // 2 + 1) float32."""
    from librosa.filters import mel  # takes a second to import

    bank = mel(sr=SAMPLE_RATE, n_fft=FFT_SAMPLES, n_mels=NUM_MELS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
    return torch.from_numpy(bank)


@cache
def _window() -> Tensor:
    return torch.hann_window(WINDOW_SAMPLES, dtype=torch.float64)


def mel_power(samples: Tensor) -> Tensor:
    """Mel power of samples that are padded already: (S,) -> (1 + (S - FFT_SAMPLES) // HOP_SAMPLES, NUM_MELS).

    The transform runs in float64, as librosa's does: in float32 the rounding of a loud low tone reaches the
    quiet high bins of the same window, 1e-3 of their value in real files. It costs a tenth of the decoding.
    """
    spectrum = torch.stft(
        samples.double(),
        FFT_SAMPLES,
        HOP_SAMPLES,
        WINDOW_SAMPLES,
        _window(),
        center=False,
        return_complex=True,
    )  # (bins, frames)
    power = spectrum.real.float().square_() + spectrum.imag.float().square_()
    return (filter_bank() @ power).T


def log_mel_blocks(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Log-mel frames of a sound in blocks of any length: (samples,) each -> (frames, NUM_MELS) float32.

    Frame i is centred on sample i * HOP_SAMPLES; S samples give 1 + S // HOP_SAMPLES frames, and none for no
    samples. Beyond both ends lies silence. The frames do not depend on how the sound is cut into blocks.
    """
    half = np.zeros(FFT_SAMPLES // 2, np.float32)
    rest, num_samples = half, 0
    for block in blocks:
        num_samples += len(block)
        rest = np.concatenate([rest, block])
        num_frames = 1 + (len(rest) - FFT_SAMPLES) // HOP_SAMPLES
        if num_frames > 0:
            yield _log_mel(rest)
            rest = rest[num_frames * HOP_SAMPLES :]
    if num_samples:
        rest = np.concatenate([rest, half])
        if len(rest) >= FFT_SAMPLES:
            yield _log_mel(rest)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log-mel frames of a whole sound: (samples,) float32 -> (1 + samples // HOP_SAMPLES, NUM_MELS)."""
    frames = list(log_mel_blocks([samples]))
    return np.concatenate(frames) if frames else np.zeros((0, NUM_MELS), np.float32)


def _log_mel(padded: np.ndarray) -> np.ndarray:
    samples = torch.from_numpy(padded)
    num_frames = 1 + (len(padded) - FFT_SAMPLES) // HOP_SAMPLES
    mel = torch.empty(num_frames, NUM_MELS)
    with torch.inference_mode():
        for start in range(0, num_frames, FRAMES_AT_ONCE):
            end = min(start + FRAMES_AT_ONCE, num_frames)
            part = samples[start * HOP_SAMPLES : (end - 1) * HOP_SAMPLES + FFT_SAMPLES]
            torch.log(mel_power(part) + POWER_FLOOR, out=mel[start:end])
    return mel.numpy()
