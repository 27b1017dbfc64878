"""A video as one strip of pictures, or a sound as its log-mel frames, in a data URI."""

import base64
from pathlib import Path

import cv2
import numpy as np

from lgdnet.errors import InputError
from lgdnet.manifest import Manifest, read_manifest
from lgdnet.report.challenge import Finished

HEIGHT = 112  # pixels of a picture
GAP = 3  # between pictures
QUALITY = 72  # of the JPEG
SOUND_SIZE = (800, 128)


class Strips:
    """Pictures of the videos of the evaluated split, read where the later stages read them."""

    def __init__(self, finished: Finished) -> None:
        challenge = finished.challenge
        self.num_pictures = challenge.report.pictures
        self.is_sound = challenge.dataset.media == "sound"
        media = challenge.media.enabled
        self.root = finished.results / "media" if media else challenge.data_path(challenge.dataset.video_root)
        folder = finished.results / ("media" if media else "manifest")
        self.manifest: Manifest | None = None
        self.why_none = ""
        try:
            self.manifest = read_manifest(folder / f"{finished.split}.csv")
        except InputError as error:
            self.why_none = str(error)
        else:
            self.row_of = {video_id: row for row, video_id in enumerate(self.manifest.video_ids.tolist())}

    def of(self, video_id: str) -> tuple[str, str]:
        """A data URI and "", or "" and why there is none."""
        if self.manifest is None or video_id not in self.row_of:
            return "", self.why_none or "the video is not in the manifest"
        row = self.row_of[video_id]
        path = self.root / str(self.manifest.paths[row])
        if not path.is_file():
            return "", f"{path} is not there any more"
        try:
            picture = sound_picture(path) if self.is_sound else self.strip(path, self.manifest, row)
        except InputError as error:
            return "", str(error)
        return data_uri(picture), ""

    def strip(self, path: Path, manifest: Manifest, row: int) -> np.ndarray:
        """(HEIGHT, W, 3) uint8 RGB"""
        from lgdnet.video import read_frames

        num_frames = int(manifest.num_frames[row])
        number = min(self.num_pictures, num_frames)
        wanted = ((np.arange(number) + 0.5) * num_frames / number).astype(int)
        frames = read_frames(path, wanted, short_side=HEIGHT, backend=str(manifest.backends[row]))
        return joined([scaled(frame) for frame in frames])


def scaled(frame: np.ndarray) -> np.ndarray:
    """To the height of the strip; a portrait video was read with HEIGHT as its width."""
    H, W = frame.shape[:2]
    if H == HEIGHT:
        return frame
    return cv2.resize(frame, (max(round(W * HEIGHT / H), 1), HEIGHT), interpolation=cv2.INTER_AREA)


def joined(frames: list[np.ndarray]) -> np.ndarray:
    """Side by side with a grey line between."""
    line = np.full((HEIGHT, GAP, 3), 128, np.uint8)
    parts = [part for frame in frames for part in (line, frame)]
    return np.concatenate(parts[1:], axis=1)


def sound_picture(path: Path) -> np.ndarray:
    """Log-mel frames, low tones below: (128, 800, 3) uint8 RGB."""
    from lgdnet.audio.logmel import log_mel
    from lgdnet.audio.reading import AudioError, read_sound

    samples, facts = read_sound(path)
    if not facts.has_audio:
        raise AudioError(f"{path}: has no sound to draw.")
    mel = log_mel(samples).T[::-1]
    low, high = np.percentile(mel, [5, 99.5])
    grey = (255 * np.clip((mel - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    coloured = cv2.applyColorMap(
        cv2.resize(grey, SOUND_SIZE, interpolation=cv2.INTER_AREA), cv2.COLORMAP_MAGMA
    )
    return np.ascontiguousarray(coloured[:, :, ::-1])


def data_uri(picture: np.ndarray) -> str:
    """As a JPEG: (H, W, 3) uint8 RGB."""
    done, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
