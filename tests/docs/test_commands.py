"""Every command of README.md and docs/ is typed as it stands there, page by page, in the order of the page."""

import re
import subprocess
import sys
import time
from functools import cache
from itertools import takewhile

import pytest

from lgdnet.commands import app
from tests.docs.adding import carry_out
from tests.docs.elsewhere import CI, ELSEWHERE, left_to
from tests.docs.pages import ROOT, Page, pages, without_comment
from tests.docs.test_help import example_of, names

pytestmark = pytest.mark.timeout(3000)  # the first test waits until the project is prepared

# Commands that take long are typed once; the others on every page that has them.
TAKES_LONG = (
    "snakemake ",
    "lgdnet sample ",
    "lgdnet fit-check ",
    "lgdnet flow ",
    "lgdnet export ",
    "lgdnet train ",
)
BENCHMARKS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


@cache
def is_a_name(command: str) -> bool:
    """`lgdnet train` in a sentence is the name of a stage; to run it one would have to add its options."""
    for given in app.registered_commands:
        name = given.name or given.callback.__name__.replace("_", "-")
        if command in (f"lgdnet {name}", f"python -m lgdnet {name}"):
            return "[required]" in help_of(name)
    return False


def help_of(name: str) -> str:
    command = [sys.executable, "-m", "lgdnet", name, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def all_commands() -> list[str]:
    """Commands without comments, each once, over all pages."""
    return list(dict.fromkeys(without_comment(command) for page in pages() for command in page.commands()))


def on_one_line(command: str) -> str:
    return " ".join(without_comment(command).replace("\\\n", " ").split())


@cache
def typed_elsewhere(name: str) -> set[str]:
    """What a page need not type again: examples of the help, and the commands of the pages that come before it."""
    before = takewhile(lambda page: page.name != name, in_reading_order())
    return {on_one_line(example_of(command)) for command in names()} | {
        on_one_line(command) for page in before for command in page.commands()
    }


def in_reading_order() -> list[Page]:
    """The quick start first: it makes what the others speak of."""
    first = ["docs/quick-start.md", "docs/your-data.md"]
    return sorted(pages(), key=lambda page: first.index(page.name) if page.name in first else len(first))


@pytest.mark.workflow
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_commands_of_a_page_work_in_its_order(page, project):
    for block in page.additions() if page.name == "docs/adding.md" else []:
        carry_out(block.text, project.folder)
    failed = []
    for command in page.commands():
        if without_comment(command) in ELSEWHERE or is_a_name(without_comment(command)):
            continue
        if command.startswith(TAKES_LONG) and on_one_line(command) in typed_elsewhere(page.name):
            continue
        begin = time.monotonic()
        done = project.run(command)
        print(f"{done.returncode} {time.monotonic() - begin:4.0f} s  {command}")
        if done.returncode:
            failed.append(f"$ {command}\n{(done.stdout + done.stderr)[-3000:]}")
    assert not failed, "\n\n".join(failed)


def test_every_command_is_typed_by_some_test():
    missing = set(ELSEWHERE) - set(all_commands())
    assert not missing, f"no page has {missing}: take them out of tests/docs/elsewhere.py"
    for file in set(ELSEWHERE.values()):
        text = (ROOT / file).read_text()
        for command in left_to(file) if file == CI else []:
            target = command.removeprefix("make ")
            assert re.search(rf"^ *(make|twice) {target}(?![\w-])", text, re.MULTILINE), command
        assert file == CI or "left_to(" in text, f"{file} types nothing of tests/docs/elsewhere.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_explains_itself_without_anything_that_is_not_installed(name):
    command = [sys.executable, f"benchmarks/{name}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
