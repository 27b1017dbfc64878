"""A finished challenge in, one file out that `predict` reads anywhere."""

from collections.abc import Sequence
from pathlib import Path

from lgdnet.prediction.opening import opened
from lgdnet.prediction.pack import check_target, write_pack
from lgdnet.prediction.predictor import check_whole


def run(challenge: Path, out: Path, *, config: Path | None = None, rows: Sequence[str] = ()) -> list[str]:
    """Write the pack. -> the rows that it holds, the first of which `predict` takes by itself.

    Without `rows` these are all that can be predicted, the submitted one first. Errors: InputError where one of them
    cannot be predicted with what lies there.
    """
    check_target(out)
    with opened(challenge, config=config) as finished:
        default = finished.default_row()
        everything = sorted(finished.rows(), key=lambda row: row != default)
        chosen = [finished.chosen_row(row) for row in rows or everything]
        check_whole(finished, chosen)
        write_pack(out, finished, chosen)
    return chosen
