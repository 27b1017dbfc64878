"""What report.html shows beyond what every challenge has."""

from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt

from lgdnet.settings.base import Settings


class ReportSettings(Settings):
    """What report.html shows (docs/report.md)."""

    published: Path | None = None
    """A table to put beside ours: a CSV with the columns Input, Backbone, Clip, Aggregation, Top1, Top5 (per cent).
    Starts where `snakemake` is typed, like `weights`."""
    examples: NonNegativeInt = 6
    """Example videos of each kind: right, wrong, most disagreed; 0 shows none, and reads no video."""
    pictures: PositiveInt = 8
    """Pictures in the strip of an example, evenly spaced over the video."""
