"""One colour for each stream, joint network, fusion and outside file on the whole page."""

import colorsys
from collections.abc import Iterable

from lgdnet.report.challenge import Finished, Row
from lgdnet.report.plots import COLOURS

GOLDEN = 0.618034  # of the circle of hues; so many steps never meet


def colour(place: int) -> str:
    """`#rrggbb`; no two places have the same."""
    if place < len(COLOURS):
        return COLOURS[place]
    hue, tier = (place * GOLDEN) % 1, place % 3
    red, green, blue = colorsys.hls_to_rgb(hue, 0.42 + 0.08 * tier, 0.75 - 0.2 * tier)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def shades(finished: Finished, names: Iterable[str]) -> dict[str, str]:
    """Colours of what one plot shows: a stream's own, also for its aggregations as long as it is the only one here."""
    challenge = finished.challenge
    owners = [*challenge.streams, *challenge.joint, *challenge.fusions, *challenge.outside]
    places = {owner: place for place, owner in enumerate(owners)}
    found: dict[str, str] = {}
    spare = len(owners)
    for name in dict.fromkeys(names):
        own = colour(places.get(name, places.get(name.split("/")[0], spare)))
        if own in found.values():
            own = colour(spare)
        spare += own == colour(spare)
        found[name] = own
    return found


def shades_of_inputs(finished: Finished, rows: Iterable[Row]) -> dict[str, str]:
    """Colours of what rows say under Input: that of the first row which says it."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row.input, row.short)
    of_rows = shades(finished, first.values())
    return {text: of_rows[name] for text, name in first.items()}
