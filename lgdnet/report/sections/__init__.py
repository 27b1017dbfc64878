"""The sections of the page, in its order."""

from collections.abc import Callable

from lgdnet.report.challenge import Finished
from lgdnet.report.content import Section
from lgdnet.report.judged import Judgement, judge_all
from lgdnet.report.sections.classes import classes, confusion
from lgdnet.report.sections.cost import cost
from lgdnet.report.sections.examples import examples
from lgdnet.report.sections.fusion import brings, weights
from lgdnet.report.sections.health import health
from lgdnet.report.sections.provenance import provenance
from lgdnet.report.sections.standing import leaderboard, overview, published
from lgdnet.report.sections.training import training
from lgdnet.report.sections.trust import calibration, views

SECTIONS: tuple[Callable[[Finished, Judgement], Section], ...] = (
    overview,
    leaderboard,
    published,
    brings,
    weights,
    training,
    classes,
    confusion,
    calibration,
    views,
    health,
    cost,
    examples,
    provenance,
)


def all_sections(finished: Finished) -> list[Section]:
    """Every section, those without content too."""
    judged = judge_all(finished, finished.all_rows)
    return [section(finished, judged) for section in SECTIONS]
