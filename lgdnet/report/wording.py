"""Numbers and lists as they are read."""

import math
from collections.abc import Sequence

NONE = "–"


def percent(fraction: float, digits: int = 1) -> str:
    """`0.7059 -> 70.6`"""
    return NONE if math.isnan(fraction) else f"{100 * fraction:.{digits}f}"


def signed(points: float, digits: int = 1) -> str:
    """`+3.4`, `−0.5`, with a minus as wide as the plus."""
    return NONE if math.isnan(points) else f"{points:+.{digits}f}".replace("-", "−")


def counted(number: int, one: str, many: str = "") -> str:
    """`1 video`, `35,000 videos`"""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def hours(value: float) -> str:
    """`0.0123 -> 44 s`, `0.5 -> 30 min`, `12.3 -> 12.3 h`"""
    if value < 1 / 60:
        return f"{3600 * value:.0f} s"
    return f"{60 * value:.0f} min" if value < 1 else f"{value:,.1f} h"


def listed(words: Sequence[str], at_most: int = 6) -> str:
    """`a, b and c`; `a, b and 5 more`"""
    shown = list(words[:at_most])
    if len(words) > at_most:
        shown.append(f"{len(words) - at_most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def number_of(text: str) -> float:
    """A cell of a table of results; NaN where it is empty."""
    return float(text) if text else math.nan
