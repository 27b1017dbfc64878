"""How `lgdnet` presents itself: commands in groups, the stages in the order of the workflow, examples that paste."""

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

# Every command, in the order in which it is listed. A new one that is not named here stands under "More".
GROUPS = {
    "Stages of the workflow, in its order": [
        "probe",
        "manifest",
        "media",
        "media-manifest",
        "cache",
        "flow",
        "audio",
        "train",
        "dump",
        "fit-aggregator",
        "aggregate",
        "import-scores",
        "fuse",
        "evaluate",
        "submission",
        "cost",
        "report",
    ],
    "Prepare and check": ["sample", "schema", "bench-data", "fit-check"],
    "Look": [
        "leaderboard",
        "compare",
        "judge",
        "validate",
        "folds",
        "curves",
        "models",
        "show-flow",
        "show-audio",
    ],
    "Use": ["predict", "explain", "pack", "export", "convert"],
    "On a cluster": ["doctor", "plan", "status", "failed"],
}
OUTSIDE_QUOTES = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")


def group_of(names: list[str]) -> dict[str, list[str]]:
    """The commands there are, by group; what no group names comes last."""
    grouped = {title: [name for name in listed if name in names] for title, listed in GROUPS.items()}
    known = {name for listed in GROUPS.values() for name in listed}
    grouped["More"] = [name for name in names if name not in known]
    return {title: members for title, members in grouped.items() if members}


class Commands(TyperGroup):
    """The list of commands, in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        names = self.list_commands(ctx)
        widest = max(map(len, names))
        for title, members in group_of(names).items():
            with formatter.section(title):
                rows = [(name.ljust(widest), summary(self.commands[name].help or "")) for name in members]
                formatter.write_dl(rows)


class Command(TyperCommand):
    """One command; its example is printed in lines that can be pasted into a shell."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        text, _, example = (self.help or "").partition("Example: ")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text.strip())
        if example:
            with formatter.section("Example"):
                indent = " " * formatter.current_indent
                formatter.write(
                    "".join(f"{indent}{line}\n" for line in shell_lines(" ".join(example.split())))
                )


def summary(text: str) -> str:
    """The first sentence of a docstring, without its full stop."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"\.(?:\s|$)", first)[0]


def shell_lines(command: str, *, width: int = 76) -> list[str]:
    """A command cut between its words, never inside quotes, with a backslash at the end of each line but the last."""
    words: list[str] = []
    for word in OUTSIDE_QUOTES.findall(command):
        if words and words[-1].startswith("--") and " " not in words[-1] and not word.startswith("--"):
            words[-1] += f" {word}"  # an option and its value stay together
        else:
            words.append(word)
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) + 2 <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}" if lines else word)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
