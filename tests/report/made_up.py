"""A finished challenge of any size from generated scores: real files, written and judged by the real stages."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lgdnet.artefact import write_text
from lgdnet.fusion import Fusion
from lgdnet.leaderboard import Row, write_confusions, write_leaderboard, write_per_class
from lgdnet.manifest import write_classes, write_rejected
from lgdnet.scores import FeaturesWriter, read_scores, write_scores
from lgdnet.scores.labels import read_labels
from lgdnet.settings import (
    RECORDED,
    Challenge,
    challenge_of,
    fusion_leaves,
    fusion_tree,
    leaderboard_rows,
    recorded,
    row_of,
    stream_rows,
)
from lgdnet.softmax import log_softmax
from lgdnet.stages import evaluate, fuse

HOSTILE = [
    "<script>alert('class')</script>",
    "\"quoted\" & 'single'",
    "</script><img src=x onerror=alert(1)>",
    "a name that goes on and on, " * 6 + "to its end",
    "unbreakable" * 20,
    "emoji \U0001f3c4\u200d\u2640\ufe0f \U0001f93a",
    "עברית then العربية",
    "{{ 7 * 7 }} {% raw %}",
    "=SUM(A1:A9)",
    "1,234.5",
    "日本語のクラス",
    "a line separator\u2028inside",
    "constructor",
    "__proto__",
]


def class_names(number: int) -> list[str]:
    """Hostile ones first, plain ones after."""
    return [*HOSTILE, *(f"class {k:03d}" for k in range(number))][:number]


@dataclass(frozen=True)
class Size:
    """How large it is."""

    classes: list[str]
    videos_per_class: int
    num_clips: int = 8
    num_features: int = 10**9  # videos of which views lie in the feature files
    silent: int = 3  # videos without a score of the sound


def stream_settings(num_clips: int) -> dict[str, dict]:
    dump = {"num_clips": num_clips}
    audio = {"modality": "audio", "backbone": "xception"}
    return {
        "frame16": {"aggregate": ["average_pool", "tcp"], "dump": dump},
        "flow16": {"modality": "flow", "aggregate": ["average_pool", "tcp"], "dump": dump},
        "audio": {**audio, "aggregate": ["average_pool"], "dump": dump},
    }


FUSIONS = {
    "two-stream": {
        "members": ["frame16/tcp", "flow16/tcp"],
        "method": "convex",
        "input": "Two-stream",
        "aggregation": "TCP",
    },
    "+audio": {
        "members": ["frame16/tcp", "flow16/tcp", "audio/average_pool"],
        "method": "convex",
        "input": "+audio",
        "aggregation": "TCP",
    },
}


def make(
    folder: Path,
    size: Size,
    *,
    streams: Mapping | None = None,
    fusions: Mapping = FUSIONS,
    searched: bool = True,
) -> Challenge:
    """Write `folder`/results/made-up and `folder`/challenge.yaml. Without `searched`, weights are given and equal."""
    streams = dict(streams or stream_settings(size.num_clips))
    if not searched:
        fusions = {name: {**words, "method": "given"} for name, words in fusions.items()}
    values = {
        "challenge": "made-up",
        "data_root": str(folder),
        "dataset": {
            "annotations": {"train": "train.csv", "validation": "validation.csv"},
            "video_root": "videos",
        },
        "streams": streams,
        "fusions": dict(fusions),
    }
    (folder / "challenge.yaml").write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    challenge = challenge_of(values, source="made up")
    results = folder / "results/made-up"
    write_text(results / RECORDED, recorded(challenge))
    ids, labels = write_manifest(results, size)
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(len(ids), len(size.classes))).astype(
        np.float32
    )  # what all streams get wrong
    for i, (name, stream) in enumerate(challenge.streams.items()):
        for j, way in enumerate(stream.aggregate):
            noise = generator.normal(size=shared.shape).astype(np.float32)
            logits = 0.6 * shared + noise
            logits[np.arange(len(ids)), labels] += (
                1.2 + 0.5 * j + 0.012 * len(size.classes) ** 0.5 * (5 - i % 5)
            )
            twin = labels ^ 1  # classes come in pairs that are hard to tell apart
            twin = np.where(twin < len(size.classes), twin, labels)
            logits[np.arange(len(ids)), twin] += 1.0
            absent = ids[: size.silent] if stream.modality == "audio" else ids[:0]
            write_row(
                results / f"streams/{name}/{way}/validation.h5", ids, logits * (1 + j), size.classes, absent
            )
        write_history(results / f"streams/{name}/history.csv", generator)
        write_features(results, name, size, ids, labels, generator)
    fuse_all(results, challenge)
    judge_all(results, challenge)
    write_cost(results, challenge)
    return challenge


def write_manifest(results: Path, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Lists, health and rejected videos; ids as hostile as the classes."""
    labels = np.repeat(np.arange(len(size.classes)), size.videos_per_class)
    ids = np.array([f"video {i:06d}" if i else "<b>&video\"0'</b>" for i in range(len(labels))])
    folder = results / "manifest"
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(
        {
            "video_id": ids,
            "path": [f"{i % 5}.mp4" for i in range(len(ids))],
            "label": [size.classes[k] for k in labels],
            "class_index": labels,
            "num_frames": 12,
            "backend": "pyav",
        }
    )
    table.to_csv(folder / "validation.csv", index=False)
    rejected = [
        (f"bad {i}", f"bad{i}.mp4", "validation", v, "the <i>end</i> is missing")
        for i, v in enumerate(("truncated", "empty"))
    ]
    write_rejected(
        folder / "rejected.csv",
        pd.DataFrame(rejected, columns=["video_id", "path", "split", "verdict", "reason"]),
    )
    write_classes(folder / "classes.txt", size.classes)
    verdicts = dict.fromkeys(("missing", "empty", "truncated", "no-video", "too-short", "undecodable"), 0)
    rest = {**verdicts, "without_audio": 0, "variable_rate": 0, "damaged": 0}
    rows = [
        {
            "split": "validation",
            "class": "*",
            "num_videos": len(ids) + 2,
            "ok": len(ids),
            **rest,
            "empty": 1,
            "truncated": 1,
        }
    ]
    counts = 20 + np.arange(len(size.classes)) % 30
    rows.append({"split": "train", "class": "*", "num_videos": counts.sum(), "ok": counts.sum(), **rest})
    rows += [
        {"split": "train", "class": c, "num_videos": n, "ok": n, **rest}
        for c, n in zip(size.classes, counts, strict=True)
    ]
    pd.DataFrame(rows).to_csv(folder / "health.csv", index=False)
    return ids, labels


def write_row(
    path: Path, ids: np.ndarray, logits: np.ndarray, classes: Sequence[str], absent: np.ndarray
) -> None:
    there = ~np.isin(ids, absent)
    about = {"settings": "{}", "inputs": "{}", "code_version": "0"}
    networks = {path.parent.name + path.parent.parent.name: {"parameters": 1e6, "gflops_per_clip": 2.0}}
    write_scores(
        path,
        ids[there],
        log_softmax(logits[there]),
        classes,
        provenance=about,
        kind="logits",
        absent=absent,
        networks=networks,
    )


def write_history(path: Path, generator: np.random.Generator) -> None:
    from lgdnet.history import History

    history = History(path)
    history.cut(0)
    for epoch in range(1, 9):
        words = {"step": 10 * epoch, "epoch": float(epoch), "seconds": 3.0}
        history.add(
            split="train",
            loss=3 / epoch + 0.1 * generator.random(),
            learning_rate=0.1,
            top1=0.1 * epoch,
            **words,
        )
        history.add(split="validation", loss=3 / epoch + 0.3, top1=0.08 * epoch, top5=0.1 * epoch, **words)


def write_features(
    results: Path,
    stream: str,
    size: Size,
    ids: np.ndarray,
    labels: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Logits of every view, of as many videos as the size says, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), size.num_features)).astype(int))
    path = results / f"streams/{stream}/features/validation/0000.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"settings": "{}", "inputs": "{}", "code_version": "0"}
    V, K = size.num_clips, len(size.classes)
    writer = FeaturesWriter(
        path,
        video_ids=ids[chosen].tolist(),
        num_views=V,
        classes=size.classes,
        provenance=about,
        checkpoint_digest=stream,
    )
    with writer as out:
        for i in chosen:
            logits = generator.normal(size=(V, K)).astype(np.float32)
            logits[:, labels[i]] += 1.5
            out.add(str(ids[i]), np.arange(V), np.zeros(V, int), np.zeros((V, 2)), np.zeros((V, 2)), logits)


def fuse_all(results: Path, challenge: Challenge) -> None:
    """The fuse stage on every fusion, with the table of what each stream brings."""
    studies = []
    for name in challenge.fusions:
        leaves = fusion_leaves(challenge, name)
        folder = results / "fusions" / name
        fuse.run(
            {leaf: results / row_of(challenge, leaf).name / "validation.h5" for leaf in leaves},
            results / "manifest/validation.csv",
            folder / "validation.h5",
            fusion=Fusion.from_json(json.dumps(fusion_tree(challenge, name))),
            weights_out=folder / "weights.csv",
            study_out=folder / "study.csv",
            rejected=results / "manifest/rejected.csv",
        )
        studies.append(pd.read_csv(folder / "study.csv", dtype=str, keep_default_na=False))
    if studies:
        pd.concat(studies).to_csv(results / "fusions.csv", index=False)


def judge_all(results: Path, challenge: Challenge) -> None:
    """leaderboard.csv and what lies beside it, one score file in memory at a time."""
    labels, classes = read_labels(results / "manifest/validation.csv"), []
    for name, rows in (
        ("leaderboard.csv", leaderboard_rows(challenge)),
        ("streams.csv", stream_rows(challenge)),
    ):
        judged = []
        for row in rows:
            scores = read_scores(results / row.name / "validation.h5")
            classes = scores.classes
            judged.append(evaluate.judge(scores, Row(**row.words()), labels, num_rejected=2))
        write_leaderboard(results / name, judged)
        if name == "leaderboard.csv":
            write_per_class(results / "per_class.csv", judged, classes)
            write_confusions(results / "confusions.csv", judged, classes)


def write_cost(results: Path, challenge: Challenge) -> None:
    rows = [("manifest", "", 1, 0.1, 0.1, 300, 0)]
    for i, name in enumerate(challenge.streams):
        rows += [("train", name, 1, 2.5 + i, 5.0, 3000, 2.5 + i), ("dump", name, 2, 0.5, 0.6, 2000, 0.5)]
    columns = ["stage", "stream", "jobs", "wall_hours", "cpu_hours", "memory_mb", "gpu_hours"]
    pd.DataFrame(rows, columns=columns).to_csv(results / "cost.csv", index=False)


def write_videos(folder: Path) -> None:
    """Five short clips, of which the last is no video; `videos/4.mp4` breaks while it is read."""
    import av

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(4):
        with av.open(str(folder / f"{i}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = (
                (64, 48, "yuv420p") if i != 1 else (48, 64, "yuv420p")
            )
            for t in range(12):
                picture = np.zeros((stream.height, stream.width, 3), np.uint8)
                picture[:, :, i % 3] = 60 + 15 * t
                picture[10:30, 2 * t : 2 * t + 16] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    (folder / "4.mp4").write_bytes(b"not a video")
