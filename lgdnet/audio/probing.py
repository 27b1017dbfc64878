"""What the manifest says of a file that is nothing but sound."""

import hashlib
from pathlib import Path
from typing import Any

from lgdnet.audio.reading import AudioError, SoundFacts, probe_sound

# As for videos: a file is cut off when this much of what it promises is missing, in seconds and as a share.
MISSING_SEC, MISSING_SHARE = 0.5, 0.03


def probe_as_dict(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Verdict, reason and facts of one file, under the names of the manifest; for a worker process.

    Sound has no pictures: `num_frames` is 0 and clips are placed by the clock of the sound. `options` are the
    ones of videos, of which none applies.
    """
    file = Path(path)
    num_bytes = file.stat().st_size
    if num_bytes == 0:
        return {"verdict": "empty", "reason": "the file has 0 bytes"}
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    found: dict[str, Any] = {"digest": digest, "num_bytes": num_bytes}
    try:
        facts = probe_sound(file)
    except AudioError as error:
        reason = str(error).removeprefix(f"{path}: ").split(". ")[0]
        return {**found, "verdict": "undecodable", "reason": reason}
    verdict, reason = judge(facts)
    return {
        **found,
        "verdict": verdict,
        "reason": reason,
        "duration_sec": facts.duration_sec,
        "has_audio": facts.has_audio,
        "codec": facts.codec,
        "num_damaged": facts.num_bad_packets,
    }


def judge(facts: SoundFacts) -> tuple[str, str]:
    """A silent file is a fact, a file without sound is of no use where there is nothing else."""
    if not facts.has_audio:
        return "undecodable", "no sound decodes"
    if facts.declared_sec - facts.duration_sec > max(MISSING_SEC, MISSING_SHARE * facts.declared_sec):
        return "truncated", f"{facts.duration_sec:.2f} s decode of {facts.declared_sec:.2f} s in its header"
    return "ok", ""
