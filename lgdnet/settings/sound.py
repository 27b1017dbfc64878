"""Settings of sound: how it becomes log-mel frames, and how training changes them."""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from lgdnet.settings.base import Fraction, Settings


class NoiseSettings(Settings):
    """White noise that makes the sound of every video harder, for experiments."""

    snr_db: float = 0.0
    """Decibels by which the sound, over a whole video, is stronger than the noise; may be negative."""
    seed: NonNegativeInt = 0
    """The noise of a video follows from this and its id."""


class AudioSettings(Settings):
    """How sound becomes log-mel frames: 16 kHz, windows of 25 ms every 10 ms, 128 bins from 60 to 7800 Hz."""

    noise: NoiseSettings | None = None
    timeout_sec: PositiveFloat = 600.0
    """The sound of a file that takes longer than this to decode is an error that names it."""
    leave_out: tuple[str, ...] = ()
    """Ids of videos whose sound is not read, because its decoder hangs or crashes: as if they had none."""


class SoundAugmentSettings(Settings):
    """Random changes of a training segment of sound (SpecAugment, MixUp), on the device."""

    num_masks: NonNegativeInt = 2
    """Bands of mel bins that are blanked out, and as many stretches of time."""
    max_mask_bins: NonNegativeInt = 24
    """Widest band, of 128 mel bins."""
    max_mask_frames: Fraction = 0.2
    """Longest stretch, as a share of the segment."""
    max_gain: NonNegativeFloat = 0.0
    """A segment becomes louder or softer by up to so many standard deviations."""
    mixup: NonNegativeFloat = 0.0
    """Segments are mixed in pairs, labels too, with shares from Beta(mixup, mixup); 0 for none."""
