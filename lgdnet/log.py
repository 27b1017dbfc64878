"""What a running stage says: a line per event; progress as a bar on a terminal, as lines in a file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 20.0


def say(message: str) -> None:
    """One line on standard error, at once. Standard output is for results."""
    print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """A line that stands out; nothing stops."""
    say(f"warning: {message}")


def progress(
    items: Iterable[T], *, what: str, total: int | None = None, done: int = 0, unit: str = "it"
) -> Iterator[T]:
    """Yield `items` and show how far along they are.

    On a terminal a bar with rate and time to finish; in a log file a plain line every 20 seconds and one at
    the end. `done` counts items finished by an earlier run, so that a resumed stage does not start at zero.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items) + done  # type: ignore[arg-type]
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=what, total=total, initial=done, unit=unit, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            say(progress_line(what, done + count, total, count / (now - start), unit))
    say(progress_line(what, done + count, total, count / max(time.monotonic() - start, 1e-9), unit))


def progress_line(what: str, done: int, total: int | None, rate: float, unit: str) -> str:
    """`dump frame16: 120/400 videos, 30 %, 12.5 videos/s, 22 s left`"""
    parts = [f"{what}: {done}/{total} {unit}" if total else f"{what}: {done} {unit}"]
    if total:
        parts.append(f"{100 * done // total} %")
    parts.append(f"{rate:.3g} {unit}/s")
    if total and rate > 0 and done < total:
        parts.append(f"{(total - done) / rate:.0f} s left")
    return ", ".join(parts)
