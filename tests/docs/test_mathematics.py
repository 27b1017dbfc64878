"""The lines of code that docs/mathematics.md quotes are those of the source."""

import ast
import re
import textwrap

import pytest

from tests.docs.pages import ROOT, Page

QUOTES = [block.text for block in Page("docs/mathematics.md").blocks("python")]


def source_of(path: str, name: str) -> list[str]:
    """The lines of a function or method, without their common indentation."""
    text = (ROOT / path).read_text()
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        node = next(child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part)
    lines = text.splitlines()[node.body[0].lineno - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines)).splitlines()


def holds(quoted: list[str], source: list[str]) -> bool:
    """Whether a run of the source is the quoted lines, indented as a whole or not."""
    for start in range(len(source) - len(quoted) + 1):
        if textwrap.dedent("\n".join(source[start : start + len(quoted)])).splitlines() == quoted:
            return True
    return False


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote.splitlines()[0].removeprefix("# "))
def test_a_quoted_line_is_in_the_source(quote):
    head, *quoted = quote.splitlines()
    path, name = re.fullmatch(r"# (\S+): (\S+)", head).groups()
    assert quoted and holds(quoted, source_of(path, name)), f"{path}: {name} has other lines"


def test_there_are_quotes_of_every_part():
    rooms = {quote.split("/")[1].split(".")[0] for quote in QUOTES}
    assert {"models", "flow", "audio", "fusion", "metrics", "clips", "schedules"} <= rooms
