"""Freed memory that stays with the process, where every step asks for the same amounts again.

glibc gives large blocks back to the system when they are freed. The next step then waits for new pages, zeroed one by
one: a quarter of a naive ResNet's training step on a CPU (docs/models.md). A process that keeps them is faster, and
larger, since free blocks that lie apart serve no larger one. Our choice; `man 3 mallopt`.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
NEVER = -1
LARGEST_MIB = 1024  # larger blocks come from the system as before
LARGEST_BEFORE_2_35_MIB = 32  # what older ones of glibc allow


def keep_pages(mib: int | None = None) -> bool:
    """Keep freed memory, up to `mib` MiB of it; forked processes do the same.

    False where this malloc cannot be told, keeps small blocks only (glibc before 2.35), or was told otherwise by the
    environment: MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_ or GLIBC_TUNABLES.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    told = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(os.environ)
    if mallopt is None or told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    largest = LARGEST_MIB if mib is None else min(mib // 2, LARGEST_MIB)
    kept = mallopt(M_MMAP_THRESHOLD, largest << 20) == 1
    if not kept:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BEFORE_2_35_MIB << 20)
    mallopt(M_TRIM_THRESHOLD, NEVER if mib is None else mib << 20)
    return kept
