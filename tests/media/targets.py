"""Functions that a worker process of the watchdog tests calls."""

import os
import time


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
