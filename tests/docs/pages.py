"""What the pages say, read as a reader does: blocks of code, commands in blocks and in sentences, links."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A code span in a sentence is a command if it begins with one of these and goes on; variables may be set before it.
PROGRAMS = "lgdnet|snakemake|python|pytest|make|bash|git|pip|tensorboard|srun|sbatch|squeue|scontrol|scancel|tmux|conda|module"
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)*)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the sentence before it."""

    language: str
    text: str
    before: str


@dataclass(frozen=True)
class Page:
    """A Markdown file of the project, by its path from the root."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.name).read_text()

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[Block]:
        found = []
        for match in FENCE.finditer(self.text):
            indent, language, text = match.groups()
            if language in languages:
                text = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
                before = self.text[: match.start()].rstrip().rpartition("\n\n")[2]
                found.append(Block(language, text, before))
        return found

    def spans(self) -> list[str]:
        """Code in sentences and tables, on one line."""
        return [" ".join(span.split()) for span in SPAN.findall(self.prose)]

    def commands(self) -> list[str]:
        """Every command of the page in order, those of the blocks first, each once."""
        found = [command for block in self.blocks("sh") for command in shell_commands(block.text)]
        found += [span for span in self.spans() if re.match(rf"(\w+=\S+ )*({PROGRAMS}) \S", span)]
        return list(dict.fromkeys(found))

    def additions(self) -> list[Block]:
        """Blocks of Python whose first line says where in the project they go."""
        return [block for block in self.blocks("python") if re.match(r"# [\w/]+\.py\b", block.text)]

    def written_files(self) -> dict[str, str]:
        """New files that the page tells to write: the last path in the sentence before a block, if it ends in `:`."""
        files = {}
        for block in self.blocks("yaml", "csv"):
            paths = re.findall(r"`([\w./-]+\.(?:yaml|csv))`", block.before)
            if paths and block.before.endswith(":") and not (ROOT / paths[-1]).exists():
                files[paths[-1]] = block.text
        return files


def shell_commands(text: str) -> list[str]:
    """Commands of a block, lines that end in a backslash joined to the next; comments at the end stay."""
    commands, lines = [], []
    for line in text.splitlines():
        lines.append(line)
        if not line.endswith("\\"):
            commands.append("\n".join(lines))
            lines = []
    return [command for command in commands if command.strip() and not command.lstrip().startswith("#")]


def without_comment(command: str) -> str:
    """A command as the list of those that are not run names it."""
    return re.sub(r"\s+#\s.*$", "", command).strip()


def pages() -> list[Page]:
    return [Page("README.md")] + [Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md"))]
