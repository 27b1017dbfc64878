"""Signals that ask a long job to stop: finish what must not be cut, save, exit with a code that is retried."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

EXIT_RETRY = 75  # EX_TEMPFAIL: nothing is wrong, start again and it goes on
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # Slurm: pre-emption and time limit; --signal=USR1@...


class Stop(SystemExit):
    """A signal asked to stop."""


class Interrupt:
    """Remembers a signal (`name`, "" before there is one) while the block lasts.

    The work looks at `name` where it can stop. Inside `at_once()` the signal itself ends the process: for
    stretches without anything to save. Child processes ignore these signals; they end with their parent.
    """

    def __init__(self) -> None:
        self.name = ""
        self.immediate = False
        self.process = os.getpid()

    def __enter__(self) -> "Interrupt":
        self.before = {number: signal.signal(number, self.handle) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """A signal that nobody has obeyed is passed on to the block around this one."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.name and kind is None and callable(outer := self.before[signal.Signals[self.name]]):
            outer(signal.Signals[self.name], None)

    def handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:
            return
        self.name = signal.Signals(number).name
        if self.immediate:
            raise Stop(EXIT_RETRY)

    def unless_asked(self, wait: Callable[[], T]) -> T | None:
        """What `wait()` returns; None, at once, when a signal came before or while it waits."""
        with contextlib.suppress(Stop), self.at_once():
            return wait()
        return None

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Exit on a signal right away while this block lasts, also on one that came just before."""
        self.immediate = True
        try:
            if self.name:
                raise Stop(EXIT_RETRY)
            yield
        finally:
            self.immediate = False


@contextlib.contextmanager
def exit_on_signal() -> Iterator[None]:
    """End with the code that is retried on a signal while the block lasts: for starting up and finishing.

    Use it before slow imports: this module has none.
    """
    with Interrupt() as interrupt, interrupt.at_once():
        yield
