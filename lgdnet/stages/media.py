"""Videos transcoded once to a short side with keyframes close together, so that every epoch after it is cheaper.

A shard writes its videos to `media/{split}/{shard}/` and, when all are there, the manifest rows of those
videos. A killed shard goes on after its last whole file.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lgdnet.artefact import atomic, digest
from lgdnet.errors import InputError
from lgdnet.log import progress, say, warn
from lgdnet.manifest import COLUMNS, Manifest, ManifestError, read_manifest, write_manifest
from lgdnet.settings import MediaSettings
from lgdnet.video.transcode import Recipe
from lgdnet.watchdog import Failure, killable_map

NUM_TIMED = 4  # videos of a shard whose random access is timed
# What a shard's file tells beside the manifest's columns.
REPORT_COLUMNS = ("source_bytes", "ms_per_clip_before", "ms_per_clip_after")


def run(
    manifest: Path,
    video_root: Path,
    out: Path,
    settings: MediaSettings,
    *,
    shard: int = 0,
    num_shards: int = 1,
    num_workers: int = 1,
) -> None:
    """Transcode one shard to the folder named like `out` without its suffix, and write its rows to `out`.

    Paths in `out` start at the folder two above (`media/`). Raises `InputError` where a video
    fails, after all others are made.
    """
    videos = read_manifest(manifest).shard(shard, num_shards)
    folder, root = out.with_suffix(""), out.parent.parent
    recipe = Recipe.of(settings)
    targets = [folder / f"{video_id}.mp4" for video_id in videos.video_ids]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    timed = set(np.linspace(0, len(videos) - 1, min(NUM_TIMED, len(videos))).astype(int).tolist())
    details = zip(videos.paths, targets, videos.backends, videos.num_frames.tolist(), strict=True)
    calls = [
        (
            str(video_root / path),
            str(target),
            recipe._asdict(),
            settings.reader,
            backend,
            num_frames,
            i in timed,
        )
        for i, (path, target, backend, num_frames) in enumerate(details)
    ]
    digests = videos.digests or [""] * len(videos)
    rows = transcode_all(calls, digests, folder / "done.jsonl", settings.timeout_sec, num_workers)
    check_frames(videos, rows, recipe)
    table = videos.table[["video_id", "label", "class_index"]].reset_index(drop=True)
    table["path"] = [target.relative_to(root).as_posix() for target in targets]
    table = pd.concat([table, pd.DataFrame(rows)], axis=1)
    with atomic(out) as tmp:
        table[[*COLUMNS, *REPORT_COLUMNS]].to_csv(tmp, index=False)
    say(summary(table))


def transcode_all(
    calls: list[tuple[Any, ...]],
    digests: list[str],
    journal: Path,
    timeout_sec: float,
    num_workers: int,
) -> list[dict[str, Any]]:
    """Facts of every transcoded file, in order; those in the journal whose file is still whole are not made again.

    Files that fail end in one error, after all others are made. `digests` are the manifest's.
    """
    keys = [key_of(call, known) for call, known in zip(calls, digests, strict=True)]
    done = read_journal(journal)
    todo = [i for i, key in enumerate(keys) if not is_whole(done.get(key), Path(calls[i][1]))]
    outcomes = killable_map(
        "lgdnet.video.transcode:transcode_and_probe",
        [calls[i] for i in todo],
        num_workers=num_workers,
        timeout_sec=timeout_sec,
    )
    failed: dict[int, str] = {}
    with journal.open("a", encoding="utf-8") as file:
        shown = progress(outcomes, what="media", total=len(calls), done=len(calls) - len(todo), unit="videos")
        for position, facts in shown:
            i = todo[position]
            if isinstance(facts, Failure):
                failed[i] = reason_of(facts, calls[i][0])
                warn(f"{calls[i][0]}: cannot be transcoded ({failed[i]})")
                continue
            done[keys[i]] = facts
            file.write(json.dumps([keys[i], facts]) + "\n")
            file.flush()
    if failed:
        first = min(failed)
        raise InputError(
            f"{calls[first][0]}: cannot be transcoded ({failed[first]}); {len(failed)} of {len(calls)} videos of "
            f"this shard fail, each named in the log above; the others are kept in {journal.parent}. Take the "
            "failing ones out of the annotations or replace them, raise media.timeout_sec if time ran out, or set "
            "media.enabled: false, and run snakemake again."
        )
    return [done[key] for key in keys]


def key_of(call: tuple[Any, ...], known_digest: str) -> str:
    """Changes with the recipe and with the source: another file of equal size is another file."""
    status = Path(call[0]).stat()
    return digest([*call[:4], status.st_size, status.st_mtime_ns, known_digest])


def reason_of(failure: Failure, source: str) -> str:
    """What went wrong, without the exception's class, the file's name and the advice of a single file."""
    message = re.sub(r"^(\w+\.)+\w+: ", "", failure.message).removeprefix(f"{source}: ")
    inner = re.fullmatch(r"cannot be transcoded \((.*)\)\. Probe it again\.", message)
    return inner[1] if inner else message.removesuffix(".")


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """Facts by key; a line that a kill cut short is left out."""
    done = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            key, facts = json.loads(line)
        except ValueError:
            continue
        done[key] = facts
    return done


def is_whole(facts: dict[str, Any] | None, target: Path) -> bool:
    """The file that the journal speaks of is still there. Files are renamed when whole, so its size says enough."""
    return facts is not None and target.is_file() and target.stat().st_size == facts["num_bytes"]


def check_frames(videos: Manifest, rows: list[dict[str, Any]], recipe: Recipe) -> None:
    """Without a new frame rate, every frame must have come through."""
    if recipe.fps is not None:
        return
    for path, before, facts in zip(videos.paths, videos.num_frames, rows, strict=True):
        if facts["num_frames"] != before:
            raise InputError(
                f"{path}: {before} frames in {videos.path}, {facts['num_frames']} after transcoding. "
                "The file changed since it was probed; run `snakemake manifest --forcerun manifest`."
            )


def summary(table: pd.DataFrame) -> str:
    """Bytes and the cost of a random clip, before and after."""
    before, after = table["source_bytes"].sum(), table["num_bytes"].sum()
    slow, fast = table["ms_per_clip_before"].mean(), table["ms_per_clip_after"].mean()
    return (
        f"media: {len(table)} videos, {before / 2**20:.1f} -> {after / 2**20:.1f} MiB; random 16-frame clip "
        f"{slow:.1f} -> {fast:.1f} ms ({slow / max(fast, 1e-9):.1f}x faster)"
    )


def collect(shards: list[Path], manifest: Path, out: Path) -> None:
    """Join the rows of all shards to the manifest of the transcoded videos, in the order of `manifest`."""
    missing = next((path for path in shards if not path.exists()), None)
    if missing:
        raise ManifestError(f"{missing} does not exist; `lgdnet media` writes it")
    table = pd.concat([pd.read_csv(p, dtype=COLUMNS, keep_default_na=False, na_values={c: [""] for c in REPORT_COLUMNS})
                       for p in shards], ignore_index=True)  # fmt: skip
    expected = read_manifest(manifest).video_ids.tolist()
    if table["video_id"].tolist() != expected:
        raise ManifestError(
            f"{shards[0]}: the shards hold {len(table)} videos, {manifest} lists {len(expected)}, or in another order. "
            "Delete the shards and run snakemake again."
        )
    write_manifest(out, table)
    say(summary(table))
