"""Whether the scores mean what they say, and how many clips they need."""

from lgdnet.report import plots
from lgdnet.report.challenge import Finished
from lgdnet.report.content import Column, Figure, Section, Table
from lgdnet.report.judged import Judgement
from lgdnet.report.shades import shades
from lgdnet.report.views import MOST_VIDEOS, ViewCurve, view_curves
from lgdnet.report.wording import NONE, counted, percent


def calibration(finished: Finished, judged: Judgement) -> Section:
    """Reliability of the best row and of the best of each kind; the error of every row."""
    points = []
    for row in finished.best_of_each_kind:
        bins = judged.of(row).reliability
        for count, confidence, hits in zip(*bins, strict=True):
            if count:
                x, y = round(100 * confidence / count, 1), round(100 * hits / count, 1)
                points.append({"name": row.short, "x": x, "y": y, "videos": int(count)})
    rows = []
    for row in finished.all_rows:
        one = judged.of(row)
        bins, videos = one.reliability, int(one.reliability.videos.sum())
        mean, right = (values.sum() / videos if videos else float("nan") for values in bins[1:])
        tendency = (
            NONE
            if not videos
            else "too sure"
            if mean > right + 0.01
            else "too unsure"
            if mean < right - 0.01
            else "fair"
        )
        rows.append(
            [row.short, percent(bins.expected_error), percent(mean), percent(right), tendency, f"{videos:,}"]
        )
    columns = [
        Column("Row"),
        Column("Calibration error %", "number", "mean gap between confidence and accuracy over 15 bins"),
        Column("Mean confidence %", "number"),
        Column("Top-1 %", "number", "of the videos that have a score"),
        Column("In all"),
        Column("Videos", "number"),
    ]
    own = judged.of(finished.best).reliability
    figure = Figure(
        "calibration-plot",
        "How often scores are right, by how sure they are",
        f"{finished.best.short} is off by {percent(own.expected_error)} points on average.",
        plots.reliability(points, shades=shades(finished, [str(point["name"]) for point in points])),
    )
    explained = (
        "Videos are put into 15 bins by the score of their best class. On the dashed line a score of 80 % is right in 80 of 100 "
        "cases; below it the scores promise too much. Bins of few videos scatter."
    )
    return Section(
        "calibration",
        "Calibration",
        explained,
        [figure, Table("calibration-table", "Every row", columns, rows)],
    )


def views(finished: Finished, judged: Judgement) -> Section:
    """Accuracy of average pooling over fewer clips than were dumped."""
    about = ("views", "Number of views")
    found = view_curves(finished)
    if not found:
        return Section(*about, absent="no features of the evaluated split lie in these results")
    points = [
        {"name": curve.stream, "x": number, "y": round(100 * top1, 2)}
        for curve in found
        for number, top1 in zip(curve.num_clips, curve.top1, strict=True)
    ]
    numbers = sorted({number for curve in found for number in curve.num_clips})
    columns = [
        Column("Stream"),
        *(Column(f"{number} {'clip' if number == 1 else 'clips'}", "number") for number in numbers),
        Column("Crops of a clip", "number"),
        Column("Videos", "number"),
    ]
    rows = [[c.stream, *view_cells(c, numbers), str(c.num_crops), f"{c.num_videos:,}"] for c in found]
    best = max(found, key=lambda curve: curve.top1[-1])
    figure = Figure(
        "views-plot",
        "Top-1 of the mean over so many clips",
        f"{best.stream}: {percent(best.top1[0])} % with {counted(best.num_clips[0], 'clip')}, {percent(best.top1[-1])} % with "
        f"{best.num_clips[-1]}.",
        plots.curves(
            points,
            x="clips of a video",
            y="top-1 %",
            points=True,
            log_x=True,
            shades=shades(finished, [curve.stream for curve in found]),
        ),
    )
    explained = (
        "Clips are evenly spaced and their scores averaged, all crops of each. The cost of an answer grows with their number. "
        f"On at most {MOST_VIDEOS:,} videos, evenly spaced over the split."
    )
    return Section(
        *about, explained, [figure, Table("views-table", "Top-1 % by number of clips", columns, rows)]
    )


def view_cells(curve: ViewCurve, numbers: list[int]) -> list[str]:
    known = dict(zip(curve.num_clips, curve.top1, strict=True))
    return [percent(known[number]) if number in known else NONE for number in numbers]
