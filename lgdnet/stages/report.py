"""A finished challenge -> report.html."""

from datetime import UTC, datetime
from pathlib import Path

from lgdnet.artefact import code_version, write_text
from lgdnet.log import say
from lgdnet.report import all_sections, read_finished, render
from lgdnet.settings import Challenge

LARGEST_MB = 5  # above it a page is slow to open and to mail


def run(results: Path, out: Path, *, challenge: Challenge) -> None:
    """Write the page. What the results have not got is left out, and the page says why."""
    finished = read_finished(results, challenge)
    sections = all_sections(finished)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = f"A finished challenge of lgdnet {code_version()}, put on this page on {made}."
    page = render(f"{challenge.challenge}: results", about, sections)
    write_text(out, page)
    size = len(page.encode()) / 1e6
    absent = [section.title.lower() for section in sections if not section.blocks]
    say(
        f"{out}: {size:.1f} MB, {len(sections) - len(absent)} sections"
        + (f"; without {', '.join(absent)}" if absent else "")
    )
    if size > LARGEST_MB:
        say(f"more than {LARGEST_MB} MB: lower report.examples or report.pictures in the challenge file")
