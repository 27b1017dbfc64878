"""What a page is made of: sections of tables, figures, lists and example videos; no HTML here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand to the right and are sorted as numbers."""

    title: str
    kind: Literal["text", "number"] = "text"
    help: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are shown; the first cell names its row.

    `filterable` gives it a search field; `narrow` breaks text into lines, so that many columns have room.
    """

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    filterable: bool = True
    narrow: bool = False
    kind: str = "table"

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.id


@dataclass(frozen=True)
class Figure:
    """A Vega-Lite plot. `says` is what it shows in words, for those who do not see it."""

    id: str
    title: str
    says: str
    spec: Mapping[str, Any]
    kind: str = "figure"


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix drawn by the page. `data`: what confusion.js reads."""

    id: str
    title: str
    says: str
    data: Mapping[str, Any]
    kind: str = "matrix"


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    items: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Listing:
    """Text as it stands in a file, folded away."""

    title: str
    text: str
    kind: str = "listing"


@dataclass(frozen=True)
class Guess:
    """A class that a stream ranks among the best of a video, with its score in per cent."""

    name: str
    percent: float
    is_true: bool


@dataclass(frozen=True)
class Example:
    """A video: its pictures as a data URI ("" with `why_none` where they cannot be read) and what is said of it."""

    video_id: str
    true_class: str
    picture: str
    why_none: str
    note: str
    guesses: Sequence[tuple[str, Sequence[Guess]]]  # of each stream, best first


@dataclass(frozen=True)
class Examples:
    """Example videos of one kind."""

    id: str
    title: str
    about: str
    items: Sequence[Example]
    kind: str = "examples"


Block = Table | Figure | Matrix | Facts | Text | Listing | Examples


@dataclass(frozen=True)
class Section:
    """A part of the page. Without blocks it is left out, and `absent` says why at the end of the page."""

    id: str
    title: str
    about: str = ""
    blocks: Sequence[Block] = field(default_factory=list)
    absent: str = ""

    def __post_init__(self) -> None:
        assert bool(self.blocks) != bool(self.absent), f"{self.id}: blocks, or the reason why there are none"
