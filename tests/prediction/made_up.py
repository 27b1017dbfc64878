"""A challenge that nothing was trained for: random networks, and every stage after them run on odd videos."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lgdnet import aggregation
from lgdnet.audio.grid import NUM_MELS
from lgdnet.audio.statistics import MelStatistics
from lgdnet.datasets.probing import PROBERS, probe_all, probe_options
from lgdnet.fusion import Fitted, Fusion
from lgdnet.loader.features import FeatureSource
from lgdnet.manifest import COLUMNS, write_classes, write_manifest
from lgdnet.scores import read_features, read_scores, write_weights
from lgdnet.settings import Challenge, challenge_of, fusion_leaves, fusion_tree, recorded
from lgdnet.sources import Media, recipe_wanted
from lgdnet.stages import aggregate, audio, cache, dump, flow, fuse
from lgdnet.stages import media as transcoding
from lgdnet.streams import clip_shape, network_of, write_stream
from tests.media.barcodes import write_video

CLASSES = ["jump", "run", "schön hören"]
STAMPS = [2 * i + 3 * (i // 7) + (i % 5 == 0) for i in range(40)]  # irregular, rising
VIDEOS = {
    "silent": ("silent.mp4", {}),
    "sounding": ("sounding.mp4", {"with_audio": True, "rate": 16}),
    "portrait": ("portrait.mp4", {"size": (128, 72), "with_audio": True}),
    "rotated": ("rotated.mp4", {"rotation": 90, "with_audio": True}),
    "irregular": ("irregular.mkv", {"time_stamps": STAMPS, "num_frames": 40, "with_audio": True}),
    "brief": ("brief.avi", {"num_frames": 5, "codec": "mpeg4", "b_frames": 0}),
}
SETTINGS = {
    "challenge": "made-up",
    "dataset": {"annotations": {"train": "train.csv", "validation": "validation.csv"}},
    "flow": {"short_side": 32, "bound": 8},
    "stream_defaults": {
        "backbone": "lgd-p3d-resnet18",
        "width": 4,
        "clip_length": 8,
        "short_side": 36,
        "crop": 32,
        "aggregate": ["average_pool", "tcp"],
        "aggregation": {"width": 8},
        "dump": {"num_clips": 3, "num_crops": 3},
    },
    "streams": {
        "frame": {},
        "flow": {"modality": "flow", "aggregate": ["average_pool"], "aggregation": {"average": "logits"}},
        "sound": {
            "modality": "audio",
            "backbone": "xception",
            "segment_sec": 0.64,
            "aggregate": ["max_pool"],
            "dump": {"num_crops": 1},
        },
    },
    "joint": {"together": {"streams": ["frame", "flow", "sound"], "stream_width": 8, "width": 8}},
    "outside": {"foreign": {"files": {"validation": "foreign.npz"}}},
    "fusions": {
        "with-others": {"members": ["frame/tcp", "foreign"]},
        "mean": {"members": ["frame/average_pool", "flow/average_pool"], "weights": [2, 1], "of": "logits"},
        "all": {
            "members": ["mean", "frame/tcp", "sound/max_pool", "together"],
            "method": "stack",
            "calibrate": True,
        },
    },
}


@dataclass(frozen=True)
class MadeUp:
    """Where it lies, and what the stages said of the videos."""

    root: Path
    videos: Path
    files: dict[str, str]  # by video id
    challenge: Challenge

    def path(self, name: str) -> Path:
        return self.videos / self.files[name]

    def scores(self, row: str) -> dict[str, np.ndarray]:
        """(K,) log-scores by video id, of a row as its stages wrote them."""
        folder = f"fusions/{row}" if row in self.challenge.fusions else row
        folder = f"joint/{row}" if row in self.challenge.joint else folder
        folder = f"streams/{row}" if "/" in row else folder
        found = read_scores(self.root / folder / "test.h5")
        return dict(zip(found.video_ids.tolist(), found.scores, strict=True))


def odd_videos(folder: Path) -> dict[str, str]:
    """Write `VIDEOS`; the names of the files."""
    for name, options in VIDEOS.values():
        write_video(folder / name, **{"num_frames": 30, **options})
    return {video_id: name for video_id, (name, _) in VIDEOS.items()}


def made_up(
    folder: Path, *, write: Callable[[Path], dict[str, str]] = odd_videos, **changes: object
) -> MadeUp:
    """Everything from videos to fused scores, under folder/results. `changes` are blocks of the settings."""
    torch.manual_seed(3)
    videos, root = folder / "videos", folder / "results"
    files = write(videos)
    challenge = challenge_of({**SETTINGS, **changes}, source="made up")
    root.mkdir(parents=True)
    (root / "challenge.json").write_text(recorded(challenge))
    write_classes(root / "manifest/classes.txt", CLASSES)
    manifest, video_root = manifest_of(challenge, files, videos, root)
    for name in challenge.streams:
        dump_stream(challenge, name, manifest, video_root, root)
    aggregate_all(challenge, manifest, root)
    fuse_all(challenge, manifest, root)
    return MadeUp(root, videos, files, challenge)


def manifest_of(challenge: Challenge, files: dict[str, str], videos: Path, root: Path) -> tuple[Path, Path]:
    """As the manifest and media stages: the list of videos, and the folder that their paths start from."""
    found = probe_all(
        list(files.values()),
        videos,
        probe_options(challenge.manifest),
        journal=root / "probes.jsonl",
        timeout_sec=60,
        num_workers=1,
        prober=PROBERS[challenge.dataset.media],
    )
    assert (found["verdict"] == "ok").all(), found
    rows = pd.DataFrame({"video_id": list(files), "path": list(files.values())})
    rows["label"], rows["class_index"] = "", -1
    manifest = root / "manifest/test.csv"
    write_manifest(manifest, pd.concat([rows, found], axis=1)[list(COLUMNS)])
    if not challenge.media.enabled:
        return manifest, videos
    transcoding.run(manifest, videos, root / "media/test/0000.csv", challenge.media)
    transcoding.collect([root / "media/test/0000.csv"], manifest, root / "media/test.csv")
    return root / "media/test.csv", root / "media"


def dump_stream(challenge: Challenge, name: str, manifest: Path, video_root: Path, root: Path) -> None:
    """A random network, what its clips are cut from, and its features."""
    settings = challenge.streams[name]
    stored: list[Path] = []
    stage = {"flow": "flow", "audio": "audio", "frame": "cache"}[settings.modality]
    if settings.modality == "flow":
        flow.run(
            manifest=manifest,
            video_root=video_root,
            out=root / "flow/test.h5",
            settings=challenge.flow,
            device="cpu",
        )
    elif settings.modality == "audio":
        audio.run(
            manifest=manifest, video_root=video_root, out=root / "audio/test.h5", settings=challenge.audio
        )
    elif challenge.cache is not None:
        cache.run(manifest, video_root, root / "cache/test.h5", challenge.cache)
    if (root / stage / "test.h5").exists():
        stored = [root / stage / "test.h5"]
    network = random_network(settings)
    generator = np.random.default_rng(0)
    statistics = MelStatistics(
        generator.normal(-8, 1, NUM_MELS).astype(np.float32),
        generator.uniform(1, 3, NUM_MELS).astype(np.float32),
    )
    media = Media(
        video_root,
        recipe=recipe_wanted(challenge.flow, stored) if settings.modality == "flow" else None,
        statistics=statistics if settings.modality == "audio" else None,
    )
    model = root / f"streams/{name}/model.safetensors"
    write_stream(model, network, settings, CLASSES, media)
    out = root / f"streams/{name}/features/test/0000.h5"
    dump.run(
        model=model, manifest=manifest, video_root=video_root, out=out, settings=settings.dump, stored=stored
    )


def random_network(settings) -> torch.nn.Module:
    """With statistics of batch norm that fit, so that features are moderate; nothing that would hide a mistake is zero."""
    network = network_of(settings, len(CLASSES))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "head" in name or "W_xg" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        network.train()(torch.randn(4, *clip_shape(settings)))
    return network.eval()


def aggregate_all(challenge: Challenge, manifest: Path, root: Path) -> None:
    """Every pool, and random networks for every learned way."""

    def features(stream: str) -> list[Path]:
        return [root / f"streams/{stream}/features/test/0000.h5"]

    for name, stream in challenge.streams.items():
        for way in stream.aggregate:
            folder = root / f"streams/{name}/{way}"
            model = fitted([features(name)], way, stream.aggregation, folder) if way == "tcp" else None
            aggregate.run(
                [features(name)],
                manifest,
                folder / "test.h5",
                method=way,
                of=stream.aggregation.average,
                model=model,
            )
    for name, joint in challenge.joint.items():
        dumps = [features(stream) for stream in joint.streams]
        model = fitted(dumps, "multi_stream_tcp", joint, root / f"joint/{name}")
        aggregate.run(dumps, manifest, root / f"joint/{name}/test.h5", method="multi_stream_tcp", model=model)


def fitted(dumps: list[list[Path]], method: str, settings, folder: Path) -> Path:
    """A random aggregation network over these features, as a fitted one is kept."""
    streams = [[read_features(shards)] for shards in dumps]
    ids = streams[0][0].video_ids
    source = FeatureSource(streams, ids, np.zeros(len(ids), np.int64), settings.features)
    network = aggregation.network_of(method, settings, source.widths, len(CLASSES))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    aggregation.write_learned(folder / "model.safetensors", network, method, settings, source)
    return folder / "model.safetensors"


def fuse_all(challenge: Challenge, manifest: Path, root: Path) -> None:
    """Fusions with made-up weights and temperatures."""
    for name in [name for name in challenge.fusions if "foreign" not in fusion_leaves(challenge, name)]:
        fusion = Fusion.from_json(json.dumps(fusion_tree(challenge, name)))
        write_weights(root / f"fusions/{name}/weights.csv", with_weights(fusion))
        leaves = fusion_leaves(challenge, name)
        folders = {leaf: root / ("joint" if leaf in challenge.joint else "streams") / leaf for leaf in leaves}
        fuse.run(
            {leaf: folder / "test.h5" for leaf, folder in folders.items()},
            manifest,
            root / f"fusions/{name}/test.h5",
            fusion=fusion,
            weights=root / f"fusions/{name}/weights.csv",
        )


def with_weights(fusion: Fusion) -> Fitted:
    """Some weight for every member, the given ones where there are any."""
    num = len(fusion.members)
    weights = np.array(fusion.weights, float) if fusion.weights else np.linspace(0.4, 1.3, num)
    temperatures = np.linspace(0.8, 1.5, num) if fusion.calibrate else np.ones(num)
    members = tuple(m if isinstance(m, str) else with_weights(m) for m in fusion.members)
    return Fitted(fusion, weights, temperatures, members)
