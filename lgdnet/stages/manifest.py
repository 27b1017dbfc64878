"""Annotations and videos in, `manifest/{split}.csv` out; what cannot be used is listed with the reason.

All splits go through one call, because some mistakes show only between splits: an id in two of them, or the
same bytes in training and validation.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lgdnet.artefact import atomic, digest
from lgdnet.datasets import DATASETS, AnnotationError, Annotations
from lgdnet.datasets.rows import SPLIT_NAMES
from lgdnet.datasets.videos import SUFFIXES, check_paths, check_root, find_by_name
from lgdnet.errors import InputError
from lgdnet.log import progress, say, warn
from lgdnet.manifest import (
    COLUMNS,
    read_classes,
    write_classes,
    write_manifest,
    write_rejected,
)
from lgdnet.settings import DatasetSettings, ManifestSettings
from lgdnet.video.probe import VERDICTS, Probe
from lgdnet.watchdog import Failure, killable_map

PROBE_MEMORY_GIB = 8.0  # address space of a probing process; a decompression bomb ends as an error
# How the reason begins where reading raised what no damage is known to raise.
UNEXPECTED = "reading it ends in an error that is not expected"
# Who looks at a file, in a process of its own.
PROBERS = {"video": "lgdnet.video.probe:probe_as_dict", "sound": "lgdnet.audio.probing:probe_as_dict"}


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


def probe_options(settings: ManifestSettings) -> dict[str, Any]:
    """What `probe` is asked."""
    return {
        "min_frames": settings.min_frames,
        "max_damaged_share": settings.max_damaged,
        "max_pixels": settings.max_pixels,
        "max_frames": settings.max_frames,
        "backend": settings.reader,
    }


def list_dataset(
    dataset: DatasetSettings, data_root: Path = Path(), *, allow_duplicates: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """Every row of every split, checked, and the class names; no video is opened.

    Columns: split, video_id, path, label, class_index, row.
    """
    if not dataset.annotations:
        raise AnnotationError("config: dataset.annotations is empty. Name a file for at least one split.")
    if dataset.format != "csv" and (dataset.select or dataset.ignore_columns):
        raise AnnotationError("config: dataset: select and ignore_columns belong to format csv only.")
    kind = DATASETS[dataset.format]
    video_root = data_root / dataset.video_root
    files: dict[str, Path] = {
        split: data_root / dataset.in_fold(path) for split, path in dataset.annotations.items()
    }
    check_root(video_root, dataset.media)
    names = class_list(dataset, data_root, files)
    tables: dict[str, pd.DataFrame] = {
        split: kind.read(
            Annotations(
                path,
                split,
                video_root,
                classes=names,
                split_name=dataset.splits.get(split),  # type: ignore[call-overload]
                fold=dataset.fold,
                select=dataset.select,
                ignore_columns=dataset.ignore_columns,
                suffixes=SUFFIXES[dataset.media],
            )
        )
        for split, path in files.items()
    }
    names = classes_of(tables) if names is None else names
    for split, path in files.items():
        check_split(path, tables[split], names, dataset.classes, video_root)
    videos = pd.concat([t.assign(split=split) for split, t in tables.items()], ignore_index=True)
    check_ids_across_splits(videos, files, allow_duplicates=allow_duplicates)
    if kind.ids_are_names:
        videos["path"] = find_by_name(videos["video_id"], video_root)
    index = {name: i for i, name in enumerate(names)}
    videos["class_index"] = videos["label"].map(index).fillna(-1).astype("int64")
    return videos, names


def class_list(dataset: DatasetSettings, data_root: Path, files: Mapping[str, Path]) -> list[str] | None:
    """The class list of the settings, or the one that lies beside the annotations, or None."""
    if dataset.classes:
        return read_classes(data_root / dataset.classes)
    return DATASETS[dataset.format].classes_beside(next(iter(files.values())))


def classes_of(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Labels of the training split in alphabetical order; of all splits where there is no training split.

    Labels that are all numbers (list files without a class list) are put in order as numbers.
    """
    chosen = [tables["train"]] if "train" in tables else list(tables.values())
    labels = sorted({label for table in chosen for label in table["label"].unique()} - {""})
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else labels


def check_split(
    annotations: Path, table: pd.DataFrame, names: list[str], classes: Path | None, video_root: Path
) -> None:
    """One split: labels known, ids unique, paths inside the root."""
    unknown = table[(table["label"] != "") & ~table["label"].isin(names)]
    if len(unknown):
        row, label = unknown["row"].iloc[0], unknown["label"].iloc[0]
        where = f"the class list {classes}" if classes else f"the {len(names)} classes of the training split"
        raise AnnotationError(
            f"{annotations}: row {row}: label {label!r} is not in {where}{nearest(label, names)}. "
            "Correct the row, or name a complete list in dataset.classes."
        )
    repeated = table[table["video_id"].duplicated()]
    if len(repeated):
        raise AnnotationError(
            f"{annotations}: row {repeated['row'].iloc[0]}: video id {repeated['video_id'].iloc[0]!r} "
            "stands there twice. "
            "Remove one of the rows."
        )
    check_paths(annotations, table, video_root)


def nearest(label: str, names: list[str]) -> str:
    """`; did you mean 'walk'?` where something is near."""
    import difflib

    near = difflib.get_close_matches(label, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_ids_across_splits(
    videos: pd.DataFrame, annotations: Mapping[str, Path], *, allow_duplicates: bool
) -> None:
    """An id may stand in one split only, unless allowed (Kinetics-600 repeats 28 in validation and test)."""
    repeated = videos["video_id"].duplicated()
    if not repeated.any():
        return
    second = videos[repeated].iloc[0]
    first = videos[videos["video_id"] == second["video_id"]].iloc[0]
    message = (
        f"{annotations[second['split']]}: row {second['row']}: video id {second['video_id']!r} is also in split "
        f"{first['split']!r} ({annotations[first['split']]}, row {first['row']})"
    )
    if not allow_duplicates:
        raise AnnotationError(f"{message}. Remove one of them, or set manifest.allow_duplicates: true.")
    warn(f"{message}, and {int(repeated.sum()) - 1} more; allowed by manifest.allow_duplicates")


def probe_all(
    paths: list[str],
    video_root: Path,
    options: dict[str, Any],
    *,
    journal: Path,
    known: Sequence[Path] = (),
    timeout_sec: float,
    num_workers: int,
    prober: str = "lgdnet.video.probe:probe_as_dict",
) -> pd.DataFrame:
    """One row per path with the fields of `Probe`.

    Every result is added to `journal` at once, so that a killed run goes on from there; `known` are other journals.
    """
    columns = list(Probe.__dataclass_fields__)
    asked = digest({**options, "prober": prober})
    keys = [probe_key(f"{video_root}/{path}", asked) if path else "" for path in paths]
    done = {key: values for path in (*known, journal) for key, values in read_known(path).items()}
    todo = [i for i, key in enumerate(keys) if key and key not in done]
    outcomes = killable_map(
        prober,
        ((f"{video_root}/{paths[i]}", options) for i in todo),
        num_workers=num_workers,
        timeout_sec=timeout_sec,
        memory_gib=PROBE_MEMORY_GIB,
    )
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        for position, outcome in progress(
            outcomes, what="probe", total=len(paths), done=len(paths) - len(todo), unit="videos"
        ):
            found = verdict_of(outcome, timeout_sec)
            if found["reason"].startswith(UNEXPECTED):
                warn(f"{video_root}/{paths[todo[position]]}: {found['reason']}; called undecodable")
            values = tuple(found[c] for c in columns)
            key = keys[todo[position]]
            done[key] = values
            file.write(json.dumps([key, *values]) + "\n")
            file.flush()
    missing = Probe("missing", "no such file under the video root")  # needs no process
    done[""] = tuple(getattr(missing, c) for c in columns)
    return pd.DataFrame([done[key] for key in keys], columns=columns)


def probe_key(path: str, asked: str) -> str:
    """Changes when the file or the question changes; "" for a file that is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116 (650,000 times)
    except OSError:
        return ""
    return f"{path}|{status.st_size}|{status.st_mtime_ns}|{asked}"


def read_known(path: Path) -> dict[str, tuple[Any, ...]]:
    """Results of earlier runs by key; a last line cut short by a kill is dropped."""
    known: dict[str, tuple[Any, ...]] = {}
    num_columns = len(Probe.__dataclass_fields__)
    for line in lines_if_any(path):
        try:
            key, *values = json.loads(line)
        except ValueError:
            continue
        if len(values) == num_columns:
            known[key] = tuple(values)
    return known


def lines_if_any(path: Path) -> Iterator[str]:
    """Lines of a text file, none if there is no file."""
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            yield from file


def verdict_of(outcome: Any, timeout_sec: float) -> dict[str, Any]:
    """A probe's fields; a hanging or crashing decoder is a verdict too."""
    if not isinstance(outcome, Failure):
        return {**Probe("").__dict__, **outcome}
    if outcome.kind == "error" and not outcome.message.startswith("MemoryError"):
        message = " ".join(outcome.message.split())
        return {**Probe("undecodable", f"{UNEXPECTED} ({message})").__dict__}
    reason = {
        "timeout": f"the decoder did not finish within {timeout_sec:g} s",
        "crash": f"the decoder crashed ({outcome.message})",
        "error": "the decoder needs more memory than it may have",
    }[outcome.kind]
    return {**Probe("undecodable", reason).__dict__}


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
