"""What every block of settings has in common."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lgdnet.errors import InputError

Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]  # all of it would leave nothing
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+][A-Za-z0-9._+-]*$")]
Split = Literal["train", "validation", "test"]


class SettingsError(InputError):
    """A setting that is unknown, missing or out of range, named by its path in the file."""


class Settings(BaseModel):
    """Frozen, and strict about names: an unknown key is an error, never a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'num_crops'?`, or what there is to choose from."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(words)}" if words else ""
