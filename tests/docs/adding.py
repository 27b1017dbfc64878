"""Carrying out what docs/adding.md says: the first line of each block names the file and the place in it."""

import re
from pathlib import Path

PLACE = re.compile(r"# (\S+\.py)(?:, (in|before|after|among the values of) (.+))?")


def carry_out(text: str, folder: Path) -> None:
    """Put the lines of one block into the project in `folder`; an AssertionError where the place is not there."""
    head, _, lines = text.partition("\n")
    found = PLACE.fullmatch(head)
    assert found, f"this says no place: {head}"
    name, where, what = found.groups()
    path = folder / name
    if where is None:
        assert not path.exists(), f"{name} is there already"
        path.write_text(lines)
        return
    source = path.read_text()
    if where == "among the values of":
        pattern, new = rf"^( *{re.escape(what)}(?:: | = )Literal\[)", rf"\g<1>{lines.strip()}, "
    elif where == "in":
        pattern, new = rf"^({re.escape(what)}\b[^\n]* = [\[({{]\n)", rf"\g<1>{lines}"
    elif where == "before":
        pattern, new = rf"^({re.escape(what)}\b)", f"{lines}\n\n\\g<1>"
    else:
        pattern, new = rf"^({re.escape(what)}\b[^\n]*\n)", rf"\g<1>{lines}"
    changed, count = re.subn(pattern, new, source, flags=re.MULTILINE)
    assert count == 1, f"{name} has {count} places like {what!r}"
    path.write_text(changed)
