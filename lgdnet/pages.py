"""Freed memory that stays with the process, where every step asks for the same amounts again.

glibc gives large blocks back to the system when they are freed. The next step then waits for new pages, zeroed one by
one: up to a third of a training step on a CPU. What a step needs at most is what it needs at every step, so keeping
it costs no more than it takes anyway. Our choice; `man 3 mallopt`.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
FOR_EVER_MIB = 2047  # mallopt takes an int of bytes
MOST_BY_MMAP_MIB = 1024, 32  # older ones of glibc allow 32 MiB


def keep_pages(mib: int = FOR_EVER_MIB) -> bool:
    """Keep up to `mib` MiB of freed memory; forked processes do the same. False where this malloc cannot be told, or
    was told otherwise by MALLOC_TRIM_THRESHOLD_ or MALLOC_MMAP_THRESHOLD_."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None or {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(os.environ):
        return False
    blocks = (min(mib // 2, most) for most in MOST_BY_MMAP_MIB)  # larger ones come from the system as before
    kept = any(mallopt(M_MMAP_THRESHOLD, block << 20) == 1 for block in blocks)
    return kept and mallopt(M_TRIM_THRESHOLD, mib << 20) == 1
