"""`lgdnet` shows its stages in order, one line each; the example of every `--help` works as it is printed."""

import re
import subprocess
import sys

import pytest

from lgdnet.commands import app
from lgdnet.commands.listing import group_of, shell_lines

pytestmark = pytest.mark.timeout(3000)  # the first test waits until the project is prepared


def printed(*arguments: str) -> str:
    command = [sys.executable, "-m", "lgdnet", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"COLUMNS": "80", "PATH": ""}, check=False
    )
    return done.stdout + done.stderr


def names() -> list[str]:
    given = [(command.name, command.callback) for command in app.registered_commands]
    return [name or callback.__name__.replace("_", "-") for name, callback in given]


def example_of(name: str) -> str:
    """The example as it stands on the screen, backslashes and all."""
    found = re.search(r"^Example:\n((?:  .*\n)+)", printed(name, "--help"), re.MULTILINE)
    assert found, f"lgdnet {name} --help has no example"
    return found[1]


def test_every_command_has_its_place_in_a_group():
    assert "More" not in group_of(names())


def test_the_list_has_the_stages_in_the_order_of_the_workflow_one_line_each():
    text = printed().partition("\n\n")[2]  # without the usage line
    assert "..." not in text
    listed = re.findall(r"^  ([a-z][\w-]*) {2,}\S.*$", text, re.MULTILINE)
    assert listed == [name for members in group_of(names()).values() for name in members]
    for group in text.split("\n\n")[2:]:
        title, *lines = group.strip().splitlines()
        assert title.rstrip(":") in group_of(names()) and len(lines) == len(
            group_of(names())[title.rstrip(":")]
        )


def test_an_example_is_cut_between_words_and_never_inside_quotes():
    command = 'lgdnet train --out results/x.h5 --settings \'{"a": 1,   "b": [1, 2]}\' --threads 2'
    lines = shell_lines(command, width=30)
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert [line.strip(" \\") for line in lines] == [
        "lgdnet train",
        "--out results/x.h5",
        '--settings \'{"a": 1,   "b": [1, 2]}\'',
        "--threads 2",
    ]


# Examples that read what the example of another command wrote.
AFTER = {"media-manifest": "media"}


@pytest.mark.workflow
@pytest.mark.parametrize("name", names())
def test_the_example_of_every_help_works_as_printed(name, project):
    if name in AFTER:
        project.must(example_of(AFTER[name]))
    project.must(example_of(name))
