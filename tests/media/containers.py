"""One file per kind of container and codec that goes wrong somewhere, made on the spot."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from barcodes import write_video

NUM_FRAMES = 100
STAMPS = [2 * i + 3 * (i // 7) + (i % 5 == 0) for i in range(NUM_FRAMES)]  # irregular, rising


def trim(source: Path, target: Path, *, first: int) -> Path:
    """Stream copy from the keyframe before frame `first`, with an edit list that hides what comes before it."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        step = int(1 / stream.average_rate / stream.time_base)
        packets = [p for p in reader.demux(stream) if p.size]
        key = max(i for i, p in enumerate(packets) if p.is_keyframe and p.pts <= first * step)
        for packet in packets[key:]:
            packet.pts -= first * step
            packet.dts -= first * step
            packet.stream = copy
            writer.mux(packet)
    return target


def trimmed(path: Path) -> Path:
    """A clip cut out of a longer video as Kinetics is usually cut; its first frame is number 30 of 130."""
    whole = write_video(path.with_name("whole.mp4"), NUM_FRAMES + 30, keyframe_every=25, b_frames=2)
    return trim(whole, path, first=30)


CONTAINERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "H.264, no B-frames, mp4": ("a.mp4", lambda p: write_video(p, NUM_FRAMES, b_frames=0)),
    "H.264, B-frames, mp4": (
        "b.mp4",
        lambda p: write_video(
            p, NUM_FRAMES, b_frames=3, keyframe_every=40, options={"x264-params": "b-pyramid=2"}
        ),
    ),
    "H.264, open groups, mp4": (
        "o.mp4",
        lambda p: write_video(
            p, NUM_FRAMES, b_frames=3, keyframe_every=20, options={"x264-params": "open-gop=1"}
        ),
    ),
    "H.264, intra refresh, mp4": (
        "i.mp4",
        lambda p: write_video(p, NUM_FRAMES, keyframe_every=20, options={"x264-params": "intra-refresh=1"}),
    ),
    "H.264, sound, mkv": ("c.mkv", lambda p: write_video(p, NUM_FRAMES, with_audio=True)),
    "H.264, 29.97 fps, mkv": ("n.mkv", lambda p: write_video(p, NUM_FRAMES, rate=Fraction(30000, 1001))),
    "H.264, avi": ("d.avi", lambda p: write_video(p, NUM_FRAMES, b_frames=0)),
    "MPEG-4, avi": ("e.avi", lambda p: write_video(p, NUM_FRAMES, codec="mpeg4", b_frames=0)),
    "MPEG-4, B-frames, avi": ("f.avi", lambda p: write_video(p, NUM_FRAMES, codec="mpeg4", b_frames=2)),
    "stream-copy trim, edit list, mp4": ("g.mp4", trimmed),
    "VP9, webm": (
        "h.webm",
        lambda p: write_video(p, NUM_FRAMES, codec="libvpx-vp9", options={"cpu-used": "8"}),
    ),
    "H.265, mp4": (
        "j.mp4",
        lambda p: write_video(
            p,
            NUM_FRAMES,
            codec="libx265",
            options={"preset": "ultrafast", "x265-params": "bframes=3:log-level=none"},
        ),
    ),
    "AV1, mkv": ("k.mkv", lambda p: write_video(p, NUM_FRAMES, codec="libsvtav1", options={"preset": "8"})),
    "H.264, MPEG-TS": ("l.ts", lambda p: write_video(p, NUM_FRAMES)),
    "MPEG-1, program stream": ("m.mpg", lambda p: write_video(p, NUM_FRAMES, codec="mpeg1video", b_frames=2)),
    "H.264, variable rate, mp4": ("v.mp4", lambda p: write_video(p, NUM_FRAMES, time_stamps=STAMPS)),
    "H.264, variable rate, mkv": ("w.mkv", lambda p: write_video(p, NUM_FRAMES, time_stamps=STAMPS)),
    "H.264, rotated 90, mp4": ("r.mp4", lambda p: write_video(p, NUM_FRAMES, rotation=90)),
    "H.264, rotated 180, mov": ("s.mov", lambda p: write_video(p, NUM_FRAMES, rotation=180)),
    "H.264, 10 bit, mp4": ("t.mp4", lambda p: write_video(p, NUM_FRAMES, pixel_format="yuv420p10le")),
    "H.264, 97x131, mp4": (
        "u.mp4",
        lambda p: write_video(p, NUM_FRAMES, size=(97, 131), pixel_format="yuv444p"),
    ),
    "VP9, 97x131, webm": (
        "x.webm",
        lambda p: write_video(p, NUM_FRAMES, size=(97, 131), codec="libvpx-vp9", options={"cpu-used": "8"}),
    ),
}
FIRST_NUMBER = {"stream-copy trim, edit list, mp4": 30}
ROTATION = {"H.264, rotated 90, mp4": 1, "H.264, rotated 180, mov": 2}
