"""The networks of one row of the leaderboard, loaded once, applied to one video after another.

Every step is the function that the stage of the same name calls, down to the features file that is written and
read back: what is rounded there is rounded here.

K classes
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from lgdnet import fusion
from lgdnet.aggregation import Learned, aggregated, read_learned
from lgdnet.augment import eval_transform
from lgdnet.dumping import features_writer, forward
from lgdnet.loader.batches import View, views
from lgdnet.metrics import top_classes
from lgdnet.modalities import MODALITIES
from lgdnet.models import for_inference
from lgdnet.pages import keep_pages
from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.prediction.looking import Looked, Looker
from lgdnet.prediction.networks import load_stream, media_of
from lgdnet.scores import Features, read_features, read_weights
from lgdnet.settings import fusion_tree
from lgdnet.softmax import softmax
from lgdnet.sources import clips_of, rows_without_clips
from lgdnet.streams import Stream

SECONDS_PER_STEP = 3600.0  # a decoder that takes longer is taken for hung
LOADING = {
    "frame": "decode",
    "flow": "flow",
    "audio": "sound",
}  # what making the clips of a modality is called


@dataclass(frozen=True)
class Prediction:
    """What a finished challenge says of one video."""

    path: Path
    video_id: str
    classes: list[str]
    log_scores: np.ndarray  # (K,) float32
    members: dict[str, np.ndarray]  # (K,) log-scores of each leaf of a fusion that has something to say
    silent: list[str]  # leaves that have nothing to say of this video: it has no sound
    num_frames: int
    fps: float
    duration_sec: float
    has_audio: bool
    seconds: dict[str, float] = field(default_factory=dict)  # of each part, in order

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The best classes with their scores, best first; where they tie as the leaderboard has them."""
        scores = softmax(self.log_scores)
        # Scores may round to 0 where their logarithms still differ.
        best = top_classes(self.log_scores[None], count)[0]
        return [(self.classes[i], float(scores[i])) for i in best]

    def of_member(self, leaf: str) -> "Prediction":
        """What one member of a fusion says alone."""
        return replace(self, log_scores=self.members[leaf], members={})


class Clock:
    """Seconds of each part, added up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def timed(self, name: str, seen: Iterator[View]) -> Iterator[View]:
        """The same views; the time that they take to come is that of a part."""
        while True:
            with self.part(name):
                view = next(seen, None)
            if view is None:
                return
            yield view


def learned_of(finished: Finished, leaf: str) -> Learned | None:
    """The fitted aggregation of a leaf; None for a pool."""
    file = finished.learned_file(leaf)
    return None if file is None else read_learned(finished.path(file))


def weights_of(finished: Finished, row: str) -> "fusion.Fitted | None":
    """The weights of a fusion, from all labelled videos; None where the row is no fusion."""
    if row not in finished.challenge.fusions:
        return None
    tree = fusion.Fusion.from_json(json.dumps(fusion_tree(finished.challenge, row)))
    return read_weights(finished.path(finished.weights_file(row)), tree)


def check_whole(finished: Finished, rows: Iterable[str]) -> None:
    """Load everything that predicting these rows needs, each file once. Errors: InputError that names what cannot be used."""
    rows = list(rows)
    for stream in dict.fromkeys(stream for row in rows for stream in finished.streams(row)):
        load_stream(finished, stream, torch.device("cpu"))
    for leaf in dict.fromkeys(leaf for row in rows for leaf in finished.leaves(row)):
        learned_of(finished, leaf)
    for row in rows:
        weights_of(finished, row)


class Predictor:
    """One row of a finished challenge, ready for any number of videos. A context manager: it owns processes."""

    def __init__(
        self,
        finished: Finished,
        row: str | None = None,
        *,
        device: torch.device | str = "cpu",
        timeout_sec: float = SECONDS_PER_STEP,
    ) -> None:
        self.finished = finished
        self.challenge = finished.challenge
        self.row = finished.chosen_row(row)
        self.device = torch.device(device)
        if self.device.type == "cpu":
            keep_pages()
        self.classes = finished.classes()
        self.streams = {name: load_stream(finished, name, self.device) for name in finished.streams(self.row)}
        self.networks = {name: for_inference(stream.model) for name, stream in self.streams.items()}
        self.leaves = {leaf: learned_of(finished, leaf) for leaf in finished.leaves(self.row)}
        for learned in self.leaves.values():
            if learned is not None:
                learned.network.to(self.device)
        self.fitted = weights_of(finished, self.row)
        self.looker = Looker(self.challenge, timeout_sec=timeout_sec)

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_: object) -> None:
        self.looker.stop()

    # ---- one video

    def listens(self) -> bool:
        """Whether any of the networks hears."""
        return any(stream.settings.modality == "audio" for stream in self.streams.values())

    def predict(self, path: Path, video_id: str | Callable[[Path, str], str] | None = None) -> Prediction:
        """All streams, aggregation and fusion. Errors: InputError that names the file and the reason.

        `video_id`, such as `VideoIds`, counts only where the challenge adds noise to the sound, which is drawn by it.
        """
        clock = Clock()
        with tempfile.TemporaryDirectory(prefix="lgdnet-predict-") as name:
            folder = Path(name)
            with clock.part("check"):
                looked = self.looker.look(path, video_id or path.stem)
            if self.challenge.media.enabled:
                with clock.part("transcode"):
                    looked = self.looker.transcoded(looked, folder)
            features = self._features(looked, folder, clock)
            members = self._aggregate(looked, features, clock)
            log_scores = self._fuse(members, clock)
        if log_scores is None:
            raise PredictionError(
                f"{path}: nothing to hear, and {self.row!r} does nothing but listen. Choose another --row."
            )
        facts = looked.manifest.table.iloc[0]
        return Prediction(
            path=path,
            video_id=looked.video_id,
            classes=self.classes,
            log_scores=log_scores,
            members={leaf: scores for leaf, scores in members.items() if scores is not None},
            silent=[leaf for leaf, scores in members.items() if scores is None],
            num_frames=int(facts["num_frames"]),
            fps=float(facts["fps"]),
            duration_sec=float(facts["duration_sec"]),
            has_audio=bool(facts["has_audio"]),
            seconds=clock.seconds,
        )

    def _features(self, looked: Looked, folder: Path, clock: Clock) -> dict[str, Features]:
        """The features file of each stream, as the dump stage writes it."""
        sound: tuple[Path, ...] = ()
        if self.listens():
            with clock.part("sound"):
                sound = (self.looker.sound(looked, folder),)
        return {
            name: self._dump(name, stream, looked, sound, folder, clock)
            for name, stream in self.streams.items()
        }

    def _dump(
        self, name: str, stream: Stream, looked: Looked, sound: tuple[Path, ...], folder: Path, clock: Clock
    ) -> Features:
        settings = self.challenge.streams[name].dump
        media = media_of(self.finished, stream, looked, sound, self.device)
        source = clips_of(stream.settings, looked.manifest, media)
        out = folder / f"{name}.h5"
        loading = LOADING[stream.settings.modality]
        with features_writer(out, stream, settings, [looked.video_id]) as writer:
            if rows_without_clips(source):
                writer.add_absent(looked.video_id)
            else:
                seen = views(source, num_clips=settings.num_clips, num_crops=settings.num_crops)
                before = clock.seconds.get(loading, 0.0)
                start = time.perf_counter()
                said = forward(
                    self.networks[name],
                    clock.timed(loading, seen),
                    eval_transform(MODALITIES[stream.settings.modality]),
                    self.device,
                )
                loaded = clock.seconds[loading] - before
                clock.seconds[network_part(name)] = time.perf_counter() - start - loaded
                writer.add(looked.video_id, *said)
        return read_features([out])

    def _aggregate(
        self, looked: Looked, features: dict[str, Features], clock: Clock
    ) -> dict[str, np.ndarray | None]:
        """(K,) log-scores of each leaf; None where it has nothing to say."""
        video_ids = np.array([looked.video_id])
        found: dict[str, np.ndarray | None] = {}
        with clock.part("aggregation"):
            for leaf, learned in self.leaves.items():
                names = self.finished.streams_of_leaf(leaf)
                method = learned.method if learned else leaf.split("/")[1]
                rows, scores = aggregated(
                    [features[name] for name in names],
                    video_ids,
                    method=method,
                    of=self.challenge.streams[names[0]].aggregation.average,
                    learned=learned,
                    device=self.device,
                )
                found[leaf] = scores[0] if len(rows) else None
            for stream in features.values():
                stream.close()
        return found

    def _fuse(self, members: dict[str, np.ndarray | None], clock: Clock) -> np.ndarray | None:
        """(K,) log-scores of the row; None where no member has anything to say."""
        if self.fitted is None:
            return members[self.row]
        absent = np.zeros(len(self.classes), np.float32)
        streams = {
            leaf: fusion.Stream(
                (absent if scores is None else scores)[None], np.array([scores is not None]), is_log=True
            )
            for leaf, scores in members.items()
        }
        with clock.part("fusion"):
            scores, present = fusion.predict(self.fitted, streams, np.arange(1))
        return scores[0] if present[0] else None


def network_part(stream: str) -> str:
    """What the time of a stream's network is called."""
    return f"{stream} network" if stream in LOADING.values() else stream
