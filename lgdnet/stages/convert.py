"""Manifests out, as other programs read them: MMAction2 video lists, the official ActivityNet ground truth."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from lgdnet.artefact import write_text
from lgdnet.datasets.activitynet import write_ground_truth
from lgdnet.errors import InputError
from lgdnet.log import say
from lgdnet.manifest import Manifest, read_classes, read_manifest

Writer = Callable[[Path, Mapping[str, Manifest], list[str]], list[Path]]


def run(manifests: list[Path], classes: Path, out: Path, *, to: str) -> None:
    """Write one format of `FORMATS` to the folder `out`. A manifest's file name is its split."""
    if to not in FORMATS:
        raise InputError(f"convert: unknown format {to!r}. Known: {', '.join(FORMATS)}.")
    tables = {path.stem: read_manifest(path) for path in manifests}
    if len(tables) < len(manifests):
        raise InputError(
            "convert: two manifests have the same file name; a file name is a split. Rename one."
        )
    for path in FORMATS[to](out, tables, read_classes(classes)):
        say(f"{path}")


def write_mmaction2(out: Path, manifests: Mapping[str, Manifest], classes: list[str]) -> list[Path]:
    """`{split}_list.txt` with lines `path label`, and `label_map.txt`. Unlabelled videos get no number."""
    written = [out / "label_map.txt"]
    write_text(written[0], "".join(f"{name}\n" for name in classes))
    for split, manifest in manifests.items():
        lines = [
            f"{path} {label}\n" if label >= 0 else f"{path}\n"
            for path, label in zip(manifest.paths, manifest.labels, strict=True)
        ]
        written.append(out / f"{split}_list.txt")
        write_text(written[-1], "".join(lines))
    return written


def write_activitynet(out: Path, manifests: Mapping[str, Manifest], classes: list[str]) -> list[Path]:
    """`ground_truth.json` over all splits."""
    columns = ["video_id", "label"]
    tables = [manifest.table[columns].assign(split=split) for split, manifest in manifests.items()]
    path = out / "ground_truth.json"
    write_ground_truth(path, pd.concat(tables, ignore_index=True), classes)
    return [path]


FORMATS: dict[str, Writer] = {"mmaction2": write_mmaction2, "activitynet": write_activitynet}
