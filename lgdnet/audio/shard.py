"""Extracted sounds -> one file of log-mel frames, whole or absent."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lgdnet.audio.extraction import Extracted
from lgdnet.audio.reading import SoundFacts
from lgdnet.audio.storage import MelWriter
from lgdnet.log import warn

SHORTER_SEC = 0.5  # sound that ends so much before its container says so was cut off


def write_sounds(
    out: Path,
    videos: Sequence[tuple[str, Path]],
    extracted: Iterable[Extracted],
    *,
    made_by: Mapping[str, str],
    expected: Sequence[bool] | None = None,
    left_out: Sequence[str] = (),
) -> list[SoundFacts]:
    """Write the sound of every (video id, path), and return the facts of those that were read.

    `expected`: which have a track by the manifest. `left_out` are ids to be recorded as having none.
    """
    found: list[SoundFacts] = []
    with MelWriter(out, provenance=made_by) as writer:
        for sound in extracted:
            video_id, path = videos[sound.position]
            for frames in sound.blocks():
                writer.add_frames(frames)
            writer.end_video(video_id, sound.facts, sound.frame_times_sec)
            warn_if_cut_off(path, sound.facts)
            if expected is not None and expected[sound.position] and not sound.facts.has_audio:
                warn(f"{path}: has a sound track by the manifest, but nothing of it decodes")
            found.append(sound.facts)
        for video_id in left_out:
            writer.end_video(video_id, SoundFacts())
    return found


def warn_if_cut_off(path: Path, facts: SoundFacts) -> None:
    """Truncated files give short sound without a complaint from the decoder."""
    if facts.has_audio and facts.declared_sec - facts.duration_sec > SHORTER_SEC:
        warn(f"{path}: {facts.duration_sec:.2f} s of sound, {facts.declared_sec:.2f} s promised; cut off?")
