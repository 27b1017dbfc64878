"""Functions that a worker process of the watchdog tests calls."""

import os
import re
import time
from pathlib import Path


def double(x):
    return 2 * x


def hang(*args):
    misbehave("hang")


def misbehave(how):
    if how == "hang":
        while True:
            time.sleep(0.01)
    if how == "crash":
        os._exit(3)
    if how == "raise":
        raise ValueError("no good")
    if how == "eat":
        return len(bytearray(3 * 2**30))
    return how


def probe_by_name(path, options):
    """A probe that does what the file is called: sleep, spin without giving up the interpreter, raise, or well."""
    name = Path(path).name
    if name == "sleep.mp4":
        time.sleep(1000)
    if name == "spin.mp4":
        re.fullmatch("(a+)+b", "a" * 60)  # centuries, in C, with the interpreter's lock held
    if name == "raise.mp4":
        raise KeyError("no such thing")
    return {"verdict": "ok"}
