"""A made-up finished challenge and its page."""

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lgdnet.artefact import write_text
from lgdnet.settings import RECORDED, Challenge, recorded
from lgdnet.stages import report
from tests.report import made_up


class Reader(HTMLParser):
    """Tables, headings and embedded JSON of a page, as a browser would read them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.json: dict[str, object] = {}
        self.text: list[str] = []
        self._table = self._script = ""
        self._cell: list[str] | None = None

    def handle_starttag(self, tag, attrs):
        words = dict(attrs)
        self.tags.append(tag)
        self.ids += [words["id"]] if "id" in words else []
        if tag == "div" and words.get("class") == "table":
            self._table = words["id"]
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "script":
            self._script = words.get("id", "code")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[self._table][-1].append("".join(self._cell or []))
            self._cell = None
        elif tag == "script":
            self._script = ""

    def handle_data(self, text):
        if self._cell is not None:
            self._cell.append(text)
        if self._script and self._script != "code":
            self.json[self._script] = json.loads(text)
        elif not self._script:
            self.text.append(text)

    def rows(self, table: str) -> list[dict[str, str]]:
        head, *body = self.tables[table]
        return [dict(zip(head, row, strict=True)) for row in body]


@dataclass(frozen=True)
class Made:
    folder: Path
    challenge: Challenge
    html: str
    page: Reader

    @property
    def results(self) -> Path:
        return self.folder / "results/made-up"


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def put_on_page(folder: Path, challenge: Challenge, *, results: Path | None = None) -> Made:
    """With these settings instead of the recorded ones."""
    out, config = folder / "report.html", folder / "given" / RECORDED
    write_text(config, recorded(challenge))
    report.run(results or folder / "results/made-up", out, config=config)
    html = out.read_text(encoding="utf-8")
    return Made(folder, challenge, html, read(html))


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    """Seventeen classes with hostile names, three streams, two fusions."""
    folder = tmp_path_factory.mktemp("report")
    made_up.write_videos(folder / "videos")
    challenge = made_up.make(folder, made_up.Size(made_up.class_names(17), 5, num_clips=4))
    return put_on_page(folder, challenge)


def policy_of(html: str) -> str:
    return re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
