"""A finished challenge -> report.html."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from lgdnet.artefact import atomic, code_version, write_text
from lgdnet.errors import InputError
from lgdnet.log import say
from lgdnet.report import PUBLISHED, Finished, all_sections, read_finished, render
from lgdnet.settings import RECORDED, Challenge, read_challenge, read_recorded

LARGEST_MB = 5  # above it a page is slow to open and to mail


def run(results: Path, out: Path, *, config: Path | None = None) -> None:
    """Write the page. What the results have not got is left out, and the page says why.

    `config` is a challenge file to use instead of the recorded settings. Errors: InputError naming what is not there.
    """
    challenge = settings_of(results, config)
    finished = read_finished(results, challenge)
    sections = all_sections(finished)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = f"A finished challenge of lgdnet {code_version()}, put on this page on {made}."
    page = render(f"{challenge.challenge}: results", about, sections)
    keep_published(finished, out)
    write_text(out, page)
    size = len(page.encode()) / 1e6
    absent = [section.title.lower() for section in sections if not section.blocks]
    say(
        f"{out}: {size:.1f} MB, {len(sections) - len(absent)} sections"
        + (f"; without {', '.join(absent)}" if absent else "")
    )
    if size > LARGEST_MB:
        say(f"more than {LARGEST_MB} MB: lower report.examples or report.pictures in the challenge file")


def keep_published(finished: Finished, out: Path) -> None:
    """Copy the published table beside a page that lies among its results, so that they suffice to make it again.

    The table is named by a path from where `snakemake` was typed, which is nothing on another machine.
    """
    table, copy = finished.published_file, finished.results / PUBLISHED
    if (
        table is None
        or out.resolve().parent != finished.results.resolve()
        or table.resolve() == copy.resolve()
    ):
        return
    with atomic(copy) as tmp:
        shutil.copyfile(table, tmp)


def settings_of(results: Path, config: Path | None) -> Challenge:
    """Recorded ones are JSON, which is YAML too, but need no defaults merged."""
    if config is not None and config.name != RECORDED:
        return read_challenge(config)
    recorded = config or results / RECORDED
    if not recorded.is_file():
        raise InputError(
            f"{recorded}: not there, so the settings of this challenge are not known. Name its file with --challenge."
        )
    return read_recorded(recorded)
