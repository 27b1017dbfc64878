"""What is in a file, found by decoding all of it once: verdict, facts, and which reader is exact for it."""

import hashlib
import itertools
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from lgdnet.ffmpeg import name_for_ffmpeg
from lgdnet.video.reader import (
    MAX_FRAMES,
    MAX_PIXELS,
    Clock,
    Damage,
    VideoError,
    decoded,
    message_of,
    opened,
    read_frames,
    seek_frames,
)
from lgdnet.video.structure import lacks_mp4_index, missing_bytes
from lgdnet.watchdog import Failure

VERDICTS = ("ok", "missing", "empty", "truncated", "no-video", "too-short", "undecodable")
# A file is cut off when this much of what its header promises is missing, in seconds and as a share.
MISSING_SEC, MISSING_SHARE = 0.5, 0.03
# Made for broadcasts, whose rate is constant: a packet lost before it reached the file leaves nothing but a gap.
TRACELESS = frozenset({"mpegts", "mpeg"})
# Above this share of damaged frames a file is of no use. One lost packet spoils everything up to the next
# keyframe.
MAX_DAMAGED_SHARE = 0.25


@dataclass(frozen=True)
class Probe:
    """Verdict, reason ("" for ok) and facts of one file; facts that could not be found are 0 or ""."""

    verdict: str
    reason: str = ""
    num_frames: int = 0
    fps: float = 0.0
    width: int = 0  # as shown, after rotation
    height: int = 0
    duration_sec: float = 0.0
    has_audio: bool = False
    rotation: int = 0  # degrees counter-clockwise by which decoded frames are turned
    backend: str = "pyav"
    digest: str = ""  # sha256 of the file's bytes
    codec: str = ""
    pixel_format: str = ""
    has_constant_rate: bool = False
    keyframe_interval: int = 0  # the longest run from one keyframe to the next
    num_damaged: int = 0  # frames that are damaged, follow damage before the next keyframe, or are missing
    num_bytes: int = 0

    def facts(self) -> dict[str, Any]:
        """Everything but verdict and reason."""
        return {k: v for k, v in asdict(self).items() if k not in ("verdict", "reason")}


@dataclass
class Scan:
    """What one pass over all frames saw."""

    num_frames: int = 0
    pts: list[int | None] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)  # of the brightness plane
    rotation: int = 0
    size: tuple[int, int] = (0, 0)  # height, width as stored
    pixel_format: str = ""
    duration: int = 0  # of the last frame, in ticks
    num_damaged: int = 0
    damage: Damage = field(default_factory=Damage)


def probe(
    path: Path,
    *,
    min_frames: int = 1,
    max_pixels: int = MAX_PIXELS,
    max_frames: int = MAX_FRAMES,
    max_damaged_share: float = MAX_DAMAGED_SHARE,
    backend: str = "auto",
) -> Probe:
    """Look at one file; never raises for what is in it.

    `backend` "auto" gives "seek" where it was found exact, else "pyav"; "pyav" asks for no more; "decord"
    prefers decord where that was found exact (run this in a process that can be killed).
    """
    path = Path(path)
    if not path.is_file():
        return Probe("missing", "no such file")
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        return Probe("empty", "the file has 0 bytes")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = Probe("undecodable", digest=digest, num_bytes=num_bytes)
    try:
        with complaints() as logged, opened(path, max_pixels=max_pixels) as (container, stream):
            if has_only_a_cover(stream):
                return replace(found, verdict="no-video", reason="its only picture is a cover")
            scan = scan_frames(container, stream, max_frames=max_frames)
            found = replace(found, **describe(container, stream, scan))
            cut = missing_bytes(path)
            complained = cut > 0 or any(name == container.format.name for _, name, _ in logged)
            has_losses = complained or scan.damage.total > 0 or container.format.name in TRACELESS
            num_damaged = scan.num_damaged + num_missing(scan, promised=stream.frames, has_losses=has_losses)
            found = replace(found, num_damaged=max(num_damaged, int(complained)))
            verdict, reason = judge(
                scan,
                found,
                promised=promised_sec(path, container, stream, scan),
                missing_share=cut / (cut + num_bytes),
                min_frames=min_frames,
                max_damaged_share=max_damaged_share,
            )
            clock = Clock.of(stream)
    except VideoError as error:
        verdict, reason = open_failure(path, str(error))
        return replace(found, verdict=verdict, reason=reason)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        return replace(found, verdict="undecodable", reason=message_of(error) or type(error).__name__)
    found = replace(found, verdict=verdict, reason=reason)
    if verdict == "ok" and backend != "pyav":
        found = replace(found, backend=choose_backend(path, scan, found, clock, preferred=backend))
    return found


def probe_as_dict(path: str, options: dict[str, Any]) -> dict[str, Any]:
    """`probe` for a worker process: everything that travels is plain."""
    return asdict(probe(Path(path), **options))


def has_only_a_cover(stream: "av.VideoStream") -> bool:
    """A picture attached to a sound file is a video stream to FFmpeg."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


@contextmanager
def complaints() -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg logs as an error: (level, part, message). A container that skips broken packets says so only here."""
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=True) as logged:
            yield logged
    finally:
        av.logging.set_level(None)


def open_failure(path: Path, message: str) -> tuple[str, str]:
    """Verdict and reason of a file that does not open."""
    reason = message.removeprefix(f"{path}: ").split(". ")[0]
    if "no video stream" in message:
        return "no-video", "it has no video stream"
    if lacks_mp4_index(path):
        return "truncated", "an mp4 without its index (moov): the end of the file is missing"
    return "undecodable", reason


def scan_frames(container: Any, stream: "av.VideoStream", *, max_frames: int) -> Scan:
    """Decode everything once and note what is needed to judge it."""
    scan = Scan()
    spoilt, events = False, 0
    for frame in decoded(container, stream, scan.damage):
        if scan.num_frames == 0:
            scan.rotation = round(frame.rotation / 90) * 90 % 360
            scan.size = (frame.height, frame.width)
            scan.pixel_format = frame.format.name
        if scan.num_frames >= max_frames:
            raise VideoError(f"more than {max_frames} frames")
        spoilt = scan.damage.total > events or (spoilt and not frame.key_frame)
        events = scan.damage.total
        scan.num_damaged += spoilt
        if frame.key_frame:
            scan.keyframes.append(scan.num_frames)
        scan.pts.append(frame.pts)
        scan.checksums.append(checksum(frame))
        scan.duration = frame.duration or scan.duration
        scan.num_frames += 1
    return scan


def describe(container: Any, stream: "av.VideoStream", scan: Scan) -> dict[str, Any]:
    """Facts of a scanned file."""
    H, W = scan.size if scan.rotation % 180 == 0 else scan.size[::-1]
    edges = [*scan.keyframes, scan.num_frames]
    return {
        "num_frames": scan.num_frames,
        "fps": round(float(stream.average_rate or stream.guessed_rate or 0), 4),
        "width": W,
        "height": H,
        "duration_sec": round(shown_sec(stream, scan), 4),
        "has_audio": bool(container.streams.audio),
        "rotation": scan.rotation,
        "codec": stream.codec_context.name,
        "pixel_format": scan.pixel_format,
        "has_constant_rate": is_regular(scan, Clock.of(stream)),
        "keyframe_interval": max((b - a for a, b in itertools.pairwise(edges)), default=0),
    }


def shown_sec(stream: "av.VideoStream", scan: Scan) -> float:
    """From the first frame's beginning to the last frame's end."""
    pts = [p for p in scan.pts if p is not None]
    if not pts or stream.time_base is None:
        return scan.num_frames / float(stream.average_rate or 25)
    frame_sec = 1 / float(stream.average_rate) if stream.average_rate else 0.04
    last_sec = float(scan.duration * stream.time_base) or frame_sec
    return float((max(pts) - min(pts)) * stream.time_base) + last_sec


def promised_sec(path: Path, container: Any, stream: "av.VideoStream", scan: Scan) -> float | None:
    """Length of the pictures by the header; None where nothing speaks of it, or only of the sound.

    Matroska says when the last frame ends (a tag of the stream, else the whole file); a file's length that its
    sound explains promises nothing about pictures.
    """
    if stream.duration and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    first = next((pts for pts in scan.pts if pts is not None), 0)
    start_sec = (
        max(float(first * (stream.time_base or 0)), 0.0) if "matroska" in container.format.name else 0.0
    )
    tagged = seconds_of(stream.metadata.get("DURATION", ""))
    if tagged is not None:
        return tagged - start_sec
    if not container.duration:
        return None
    whole_sec = float(container.duration) / 1e6
    if whole_sec - start_sec - shown_sec(stream, scan) <= MISSING_SEC:
        return whole_sec - start_sec
    return None if end_of_others(path, stream.index) >= whole_sec - MISSING_SEC else whole_sec - start_sec


def seconds_of(clock: str) -> float | None:
    """`00:01:02.500000000` -> 62.5; None for anything else."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)", clock.strip())
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def end_of_others(path: Path, index: int) -> float:
    """When the last packet of any other stream ends, in seconds; 0 where there is none. Nothing is decoded."""
    end = 0.0
    with av.open(name_for_ffmpeg(path), metadata_errors="replace") as container:
        others = [stream for stream in container.streams if stream.index != index]
        try:
            for packet in container.demux(others) if others else ():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except (av.FFmpegError, OSError, IndexError):
            return end
    return end


def is_regular(scan: Scan, clock: Clock | None) -> bool:
    """The time stamp of every frame tells its number, by the header's rate."""
    return clock is not None and all(
        pts is not None and clock.index(pts) == i for i, pts in enumerate(scan.pts)
    )


def num_missing(scan: Scan, *, promised: int, has_losses: bool) -> int:
    """Frames that are not there: gaps in otherwise regular time stamps, in a file that is known to have lost some.

    A gap alone is a pause and a variable rate, no damage. What speaks of a loss is a complaint or the kind of
    container (`has_losses`), or an index that promises more frames than decode; `promised` is 0 where the container
    does not say.
    """
    num_lost = max(promised - scan.damage.hidden - scan.num_frames, 0)
    stamps = [pts for pts in scan.pts if pts is not None]
    if not (has_losses or num_lost) or len(stamps) < 3 or len(stamps) < len(scan.pts):
        return 0
    intervals = np.diff(stamps)
    frames = np.round(intervals / max(float(np.median(intervals)), 1.0))
    gaps = int((frames[frames > 1] - 1).sum()) if (frames == 1).mean() >= 0.9 else 0
    return min(gaps, num_lost) if promised else gaps


def judge(
    scan: Scan,
    facts: Probe,
    *,
    promised: float | None,
    missing_share: float,
    min_frames: int,
    max_damaged_share: float,
) -> tuple[str, str]:
    """Verdict and reason of a file that opened."""
    if scan.num_frames == 0:
        return "undecodable", "no frame decodes" + (
            f" ({scan.damage.demuxer})" if scan.damage.demuxer else ""
        )
    if missing_share > MISSING_SHARE:
        return (
            "truncated",
            f"{100 * missing_share:.0f} % of the bytes that its container promises are missing",
        )
    if promised and promised - facts.duration_sec > max(MISSING_SEC, MISSING_SHARE * promised):
        return "truncated", f"{facts.duration_sec:.2f} s decode of {promised:.2f} s in its header"
    if facts.num_damaged > max_damaged_share * scan.num_frames:
        return "undecodable", f"{facts.num_damaged} of {scan.num_frames} frames are damaged"
    if scan.num_frames < min_frames:
        return "too-short", f"{scan.num_frames} frames, {min_frames} are needed"
    return "ok", ""


def choose_backend(path: Path, scan: Scan, facts: Probe, clock: Clock | None, *, preferred: str) -> str:
    """The fastest reader that returns the same frames as the scan did, tried on a few of them."""
    if facts.num_damaged or facts.num_frames < 2:
        return "pyav"
    if preferred == "decord" and decord_is_exact(path, scan):
        return "decord"
    if facts.has_constant_rate and seek_is_exact(path, scan):
        return "seek"
    return "pyav"


def places_to_try(scan: Scan) -> list[int]:
    """Frames around up to four keyframes, where readers go wrong, one in the middle, and the last one."""
    keyframes = scan.keyframes or [0]
    chosen = [keyframes[i] for i in np.linspace(0, len(keyframes) - 1, 4).round().astype(int)]
    around = {k + d for k in chosen for d in (-1, 0, 1)} | {scan.num_frames // 2, scan.num_frames - 1}
    return sorted(i for i in around if 0 <= i < scan.num_frames)


def seek_is_exact(path: Path, scan: Scan) -> bool:
    """Every tried frame, reached alone by a seek, equals bit for bit the one of the sequential pass."""
    for i in places_to_try(scan):
        if seek_frames(path, np.array([i]), checksum).get(i) != scan.checksums[i]:
            return False
    return True


def decord_is_exact(path: Path, scan: Scan) -> bool:
    """Every tried frame, reached alone, looks more like the right one than like its neighbours.

    decord converts colours a little differently, so bits cannot be compared; the count of frames can.
    """
    from lgdnet.video.decord_reader import is_installed, read_with_decord

    if not is_installed():
        return False
    last = np.array([scan.num_frames])
    if not isinstance(read_with_decord(path, last, short_side=None), Failure):
        return False  # it promises frames that do not exist
    for i in places_to_try(scan):
        near = np.array([k for k in range(i - 2, i + 3) if 0 <= k < scan.num_frames])
        found = read_with_decord(path, np.array([i]), short_side=None)
        right = read_frames(path, near)
        if isinstance(found, Failure) or found.shape[1:] != right.shape[1:]:
            return False
        distance = np.abs(right.astype(np.int16) - found.astype(np.int16)).mean((1, 2, 3))
        if distance[near == i][0] > distance.min() + 0.05 or distance.min() > 6:
            return False
    return True


def checksum(frame: "av.VideoFrame") -> int:
    """CRC-32 of the first plane (brightness), without the padding at the end of its lines."""
    plane = frame.planes[0]
    num_bytes = plane.width * (2 if frame.format.components[0].bits > 8 else 1)
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return zlib.crc32(lines[:, :num_bytes].tobytes())
