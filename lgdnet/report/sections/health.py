"""What the data is like: rejected videos, missing sound, uneven classes."""

import numpy as np
import pandas as pd

from lgdnet.report import plots
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Block, Column, Figure, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.wording import counted, listed

KEYS = ("split", "class", "num_videos", "ok")
NOTES = {
    "without_audio": (
        "Without sound",
        "usable videos without a sound track; streams of sound have no score for them",
    ),
    "variable_rate": ("Variable rate", "usable videos whose frames are not evenly spaced in time"),
    "damaged": ("Damaged", "usable videos of which some frames do not decode"),
}
MOST_REJECTED = 500
MOST_BARS = 40  # classes that get a bar each


def health(finished: Finished, judged: Judgement) -> Section:
    """Counts of every split from health.csv, and the rejected videos by name."""
    about = ("health", "Data health")
    table = finished.table("manifest/health.csv", KEYS)
    if table is None:
        return Section(*about, absent="manifest/health.csv is not among these results")
    verdicts = [name for name in table.columns if name not in (*KEYS, *NOTES)]
    whole = table[table["class"] == "*"].set_index("split").drop(columns="class").astype(int)
    kinds = [name for name in verdicts if whole[name].any()]
    columns = [Column("Split"), Column("Videos listed", "number"), Column("Usable", "number")]
    columns += [Column(f"Rejected: {name}", "number") for name in kinds]
    columns += [Column(*NOTES[name][:1], "number", NOTES[name][1]) for name in NOTES]
    rows = [
        [str(split), *(f"{line[name]:,}" for name in ("num_videos", "ok", *kinds, *NOTES))]
        for split, line in whole.iterrows()
    ]
    blocks: list[Block] = [Table("health-table", "Videos of every split", columns, rows, filterable=False)]
    points = [
        {"name": str(split), "value": int(line[name]), "reason": name}
        for split, line in whole.iterrows()
        for name in kinds
    ]
    if points:
        total = int(whole[kinds].to_numpy().sum())
        blocks.append(
            Figure(
                "health-plot",
                "Rejected videos by reason",
                f"{counted(total, 'video')} rejected: {listed([f'{whole[name].sum()} {name}' for name in kinds], 10)}.",
                plots.bars(points, title="videos", colour="reason"),
            )
        )
    blocks.append(class_sizes(table))
    blocks += rejected_list(finished)
    repeated = finished.table("manifest/duplicates.csv")
    groups = repeated["digest"].nunique() if repeated is not None and "digest" in repeated else 0
    twins = f" {counted(groups, 'group')} of videos have the same bytes (duplicates.csv)." if groups else ""
    return Section(*about, f"Every file was opened and decoded before anything else ran.{twins}", blocks)


def class_sizes(table: pd.DataFrame) -> Figure:
    """How many usable training videos each class has."""
    own = table[(table["split"] == "train") & (table["class"] != "*")]
    sizes = own["ok"].astype(int).to_numpy()
    says = (
        f"Classes have {sizes.min():,} to {sizes.max():,} usable training videos, half of them {np.median(sizes):,.0f} or less."
        if len(sizes)
        else "No training videos."
    )
    title = "Usable training videos of a class"
    if len(sizes) <= MOST_BARS:
        points = [{"name": name, "value": int(n)} for name, n in zip(own["class"], sizes, strict=True)]
        points.sort(key=lambda point: (-int(point["value"]), str(point["name"])))
        return Figure("sizes-plot", title, says, plots.bars(points, title="videos"))
    counts, edges = np.histogram(sizes, bins=min(40, max(int(np.ptp(sizes)), 1)))
    bins = [
        {"low": round(float(low), 1), "high": round(float(high), 1), "value": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return Figure("sizes-plot", title, says, plots.histogram(bins, x="videos of a class", y="classes"))


def rejected_list(finished: Finished) -> list[Block]:
    """Which videos, and why."""
    table = finished.table("manifest/rejected.csv", ("video_id", "path", "split", "verdict", "reason"))
    if table is None or table.empty:
        return []
    columns = [Column("Video"), Column("Split"), Column("Verdict"), Column("Reason")]
    rows = table[["video_id", "split", "verdict", "reason"]].head(MOST_REJECTED).to_numpy().tolist()
    rest = (
        f", the first {MOST_REJECTED:,} of {len(table):,} (rejected.csv has all)"
        if len(table) > MOST_REJECTED
        else ""
    )
    return [Table("rejected-table", f"Rejected videos{rest}", columns, rows)]
