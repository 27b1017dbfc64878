"""One video in, a picture of its sound out."""

from pathlib import Path

from lgdnet.artefact import atomic
from lgdnet.audio.frame_times import frame_times
from lgdnet.audio.grid import FRAMES_PER_SEC
from lgdnet.audio.logmel import log_mel
from lgdnet.audio.picture import draw_sound, spans
from lgdnet.audio.reading import AudioError, read_sound
from lgdnet.audio.segments import segment_places
from lgdnet.video import probe


def run(
    video: Path,
    *,
    out: Path,
    num_clips: int = 20,
    clip_length: int = 16,
    frame_stride: int = 1,
    segment_sec: float = 2.56,
) -> Path:
    """Write `<name>.audio.png` into the folder `out`: waveform, log-mel frames and the segments of the clips."""
    if not video.is_file():
        raise AudioError(f"{video}: no such file. Name a video or a file of sound.")
    samples, facts = read_sound(video)
    if not facts.has_audio:
        raise AudioError(f"{video}: has no sound to draw. An audio stream gives it no score.")
    mel = log_mel(samples)
    pictures = probe(video)
    segment_frames = round(segment_sec * FRAMES_PER_SEC)
    _, firsts = segment_places(
        num_video_frames=pictures.num_frames,
        fps=pictures.fps,
        num_mel_frames=len(mel),
        start_sec=facts.start_sec,
        num_clips=num_clips,
        clip_length=clip_length,
        frame_stride=frame_stride,
        segment_frames=segment_frames,
        frame_times_sec=None if pictures.has_constant_rate else frame_times(video, pictures.num_frames),
    )
    png = out / f"{video.stem}.audio.png"
    with atomic(png) as tmp:
        draw_sound(
            tmp,
            samples,
            mel,
            facts,
            spans(firsts, segment_frames=segment_frames, start_sec=facts.start_sec),
            title=video.name,
            video_sec=pictures.num_frames / pictures.fps if pictures.num_frames else 0.0,
        )
    return png
