"""Finished challenges whose pages are opened, and a browser that writes down what a page does."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lgdnet.stages import report
from tests.browser import chromium
from tests.report import made_up

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "results/sample"
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
PATIENCE_MS = 120_000  # a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser."""
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
    with chromium.opened() as opened:
        yield opened


@dataclass
class Opened:
    """A page and what it did: messages of its console, requests beyond the file itself."""

    page: object
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def draw_all(self) -> None:
        """Scroll through the page, as a reader does, until every plot is drawn."""
        page = self.page
        for plot in page.query_selector_all(".plot"):
            plot.scroll_into_view_if_needed()
        self.wait_until(
            "[...document.querySelectorAll('.plot')].every((plot) => plot.dataset.drawn === 'done')"
        )

    def wait_until(self, expression: str) -> None:
        """Until it is true. Playwright's own waiting evaluates text inside the page, which its policy forbids."""
        last = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < last, f"after {PATIENCE_MS / 1000:.0f} s still false: {expression}"
            self.page.wait_for_timeout(50)


@contextmanager
def visited(browser, path: Path, *, size: str = "desktop", theme: str = "light") -> Iterator[Opened]:
    """A page opened from its file, offline."""
    context = browser.new_context(
        viewport=SIZES[size], color_scheme=theme, offline=True, has_touch=size == "phone"
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        opened = Opened(page)
        page.on("console", lambda message: opened.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.messages.append(f"error: {error}"))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.goto(path.resolve().as_uri())
        yield opened
    finally:
        context.close()


def tiny_of_the_workflow(folder: Path) -> Path:
    """A challenge that Snakemake ran from videos to its page."""
    from tests.workflow.conftest import finish

    return finish(folder).results / "report.html"


def hostile(folder: Path) -> Path:
    """Made-up classes with hostile names, more of them than a plot has bars for."""
    made_up.write_videos(folder / "videos")
    made_up.make(folder, made_up.Size(made_up.class_names(45), 6))
    report.run(folder / "results/made-up", folder / "report.html")
    return folder / "report.html"


def of_results(results: Path, folder: Path) -> Path:
    """A page of results that lie here already, made anew."""
    report.run(results, folder / "report.html")
    return folder / "report.html"


def pages() -> list[str]:
    """Which challenges are looked at."""
    of_workflow = (
        "sample" if (SAMPLE / "challenge.json").exists() else "tiny"
    )  # `make demo` ran, or a minute more
    return ["hostile", of_workflow, *(["finished"] if os.environ.get("LGDNET_FINISHED") else [])]


@pytest.fixture(scope="session", params=pages())
def page_file(request, tmp_path_factory) -> Path:
    """The report of one challenge."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "hostile":
        return hostile(folder)
    if request.param == "tiny":
        return tiny_of_the_workflow(folder)
    return of_results(SAMPLE if request.param == "sample" else Path(os.environ["LGDNET_FINISHED"]), folder)


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are left to be looked at."""
    folder = ROOT / "try/screenshots"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
