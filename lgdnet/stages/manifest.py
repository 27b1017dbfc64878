"""Annotations and videos in, `manifest/{split}.csv` out; what cannot be used is listed with the reason.

All splits go through one call, because some mistakes show only between splits: an id in two of them, or the
same bytes in training and validation.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lgdnet.artefact import atomic
from lgdnet.datasets.listing import list_dataset
from lgdnet.datasets.probing import PROBERS, probe_all, probe_options
from lgdnet.datasets.rows import SPLIT_NAMES
from lgdnet.errors import InputError
from lgdnet.log import say, warn
from lgdnet.manifest import (
    COLUMNS,
    write_classes,
    write_manifest,
    write_rejected,
)
from lgdnet.settings import DatasetSettings, ManifestSettings
from lgdnet.video.probe import VERDICTS


def run(
    dataset: DatasetSettings,
    settings: ManifestSettings,
    data_root: Path,
    out_dir: Path,
    *,
    probes: Sequence[Path] = (),
    num_workers: int | None = None,
) -> None:
    """Write {split}.csv of every split, rejected.csv, health.csv, duplicates.csv and classes.txt to `out_dir`.

    `probes` are the results of `probe_shard`; what they lack is probed here. Relative paths of the data set start at
    `data_root`. `num_workers` None uses all cores of this process. Raises `InputError` with one line for anything
    wrong in the annotations.
    """
    video_root = data_root / dataset.video_root
    videos, names = list_dataset(dataset, data_root, allow_duplicates=settings.allow_duplicates)
    found = probe_all(
        videos["path"].tolist(),
        video_root,
        probe_options(settings),
        journal=out_dir / "probes.jsonl",
        known=probes,
        timeout_sec=settings.probe_timeout_sec,
        num_workers=num_workers or len(os.sched_getaffinity(0)),
        prober=PROBERS[dataset.media],
    )
    table = pd.concat([videos.reset_index(drop=True), found], axis=1)
    write_all(out_dir, table, names, list(dataset.annotations))
    check_health(table, max_rejected=settings.max_rejected, out_dir=out_dir)
    check_duplicates(table, out_dir=out_dir, allow_duplicates=settings.allow_duplicates)


def probe_shard(
    dataset: DatasetSettings,
    settings: ManifestSettings,
    data_root: Path,
    out: Path,
    *,
    shard: int,
    num_shards: int,
    num_workers: int | None = None,
) -> None:
    """Probe one part of all videos into `out`, for `run` to put together: one job of several on a cluster.

    The results grow in a journal beside `out`; a killed job goes on from there.
    """
    videos, _ = list_dataset(dataset, data_root, allow_duplicates=settings.allow_duplicates)
    edges = [len(videos) * i // num_shards for i in (shard, shard + 1)]
    journal = out.with_name(f"{out.name}.part")
    probe_all(
        videos["path"].iloc[edges[0] : edges[1]].tolist(),
        data_root / dataset.video_root,
        probe_options(settings),
        journal=journal,
        timeout_sec=settings.probe_timeout_sec,
        num_workers=num_workers or len(os.sched_getaffinity(0)),
        prober=PROBERS[dataset.media],
    )
    with atomic(out) as tmp:
        shutil.copyfile(journal, tmp)


def write_all(out_dir: Path, table: pd.DataFrame, names: list[str], splits: list[str]) -> None:
    """The manifest of each split, the rejected videos, the counts and the class list."""
    is_ok = table["verdict"] == "ok"
    for split in splits:
        chosen = table[is_ok & (table["split"] == split)]
        write_manifest(out_dir / f"{split}.csv", chosen.reindex(columns=list(COLUMNS)))
        say(f"{out_dir / f'{split}.csv'}: {len(chosen)} videos")
    write_rejected(out_dir / "rejected.csv", table[~is_ok])
    write_classes(out_dir / "classes.txt", names)
    with atomic(out_dir / "health.csv") as tmp:
        health(table).to_csv(tmp, index=False)
    with atomic(out_dir / "duplicates.csv") as tmp:
        duplicates(table).to_csv(tmp, index=False)


def health(table: pd.DataFrame) -> pd.DataFrame:
    """Counts per split and class: videos, each verdict, and, of the ok ones, without sound, variable rate, damaged.

    The row with class `*` is the whole split.
    """
    counted = table[["split", "label"]].copy()
    counted["num_videos"] = 1
    is_ok = table["verdict"] == "ok"
    for verdict in VERDICTS:
        counted[verdict] = (table["verdict"] == verdict).astype("int64")
    counted["without_audio"] = (is_ok & ~table["has_audio"].astype(bool)).astype("int64")
    counted["variable_rate"] = (is_ok & ~table["has_constant_rate"].astype(bool)).astype("int64")
    counted["damaged"] = (is_ok & (table["num_damaged"] > 0)).astype("int64")
    whole = counted.drop(columns="label").groupby("split", sort=False).sum().reset_index()
    whole.insert(1, "label", "*")
    per_class = counted.groupby(["split", "label"], sort=True).sum().reset_index()
    return pd.concat([whole, per_class], ignore_index=True).rename(columns={"label": "class"})


def duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Usable videos whose bytes occur more than once: digest, video_id, path, split, label, grouped."""
    usable = table[table["verdict"] == "ok"]
    repeated = usable[usable["digest"].duplicated(keep=False)]
    return repeated.sort_values(["digest", "split", "video_id"])[
        ["digest", "video_id", "path", "split", "label"]
    ]


def check_health(table: pd.DataFrame, *, max_rejected: float, out_dir: Path) -> None:
    """Stop where too much is unusable; a wrong video root must not become a tiny training set."""
    for split, part in table.groupby("split", sort=False):
        rejected = part[part["verdict"] != "ok"]
        if len(rejected):
            warn(f"{split}: {len(rejected)} of {len(part)} videos rejected: {summary(rejected)}")
        if len(rejected) == len(part) or len(rejected) > max_rejected * len(part):
            first = rejected.iloc[0]
            # Under a name of its own: Snakemake deletes the declared outputs of a job that fails.
            kept = out_dir / "too-many-rejected.csv"
            write_rejected(kept, rejected)
            raise InputError(
                f"{kept}: {len(rejected)} of {len(part)} videos of split {split!r} "
                "cannot be used "
                f"({summary(rejected)}), first {first['video_id']!r}: {first['reason']}. "
                "Correct dataset.video_root or the files, or raise manifest.max_rejected."
            )


def summary(rejected: pd.DataFrame) -> str:
    """`3 missing, 1 truncated`"""
    return ", ".join(f"{count} {verdict}" for verdict, count in rejected["verdict"].value_counts().items())


def check_duplicates(table: pd.DataFrame, *, out_dir: Path, allow_duplicates: bool) -> None:
    """The same bytes in training and validation are an error unless allowed; elsewhere they are reported."""
    repeated = duplicates(table)
    if repeated.empty:
        return
    kind = repeated["split"].map(
        {name: split for split, names in SPLIT_NAMES.items() for name in (*names, split)}
    )
    kind = kind.fillna(repeated["split"])
    in_train = set(repeated.loc[kind == "train", "digest"])
    leaked = repeated[(kind == "validation") & repeated["digest"].isin(in_train)]
    if len(leaked) and not allow_duplicates:
        twin = repeated[(kind == "train") & (repeated["digest"] == leaked["digest"].iloc[0])].iloc[0]
        raise InputError(
            f"{out_dir / 'duplicates.csv'}: {len(leaked)} validation videos have the same bytes as "
            "training videos, first "
            f"{leaked['path'].iloc[0]!r} = {twin['path']!r}. Remove them, or set "
            "manifest.allow_duplicates: true."
        )
    warn(f"{repeated['digest'].nunique()} groups of videos with the same bytes: {out_dir / 'duplicates.csv'}")
