"""Settings of glibc's malloc and of Python's garbage collector."""

from __future__ import annotations

import ctypes
import gc

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Parameters of glibc's `mallopt`."""
LARGE_BYTES = 1024 * 1024
GC_THRESHOLDS = 10_000, 10, 100
"""New objects between two collections, and collections between two of older objects, and of all objects.

Python's 700 cause a thousand collections in a poll of 10,000 providers. Its last 10 causes one of all objects
in every fourth such poll, which takes a third of its time.
"""


def limit_malloc_arenas() -> None:
    """Limit malloc to one arena, and return large blocks to the system when they are freed; glibc only.

    By default glibc has up to eight arenas per processor. Fetches and scrapes use many short-lived threads,
    and an arena stays as large as the largest response that it held.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def raise_gc_threshold() -> None:
    """Raise the garbage collector's thresholds: a poll allocates many long-lived objects.

    With the default, collections take an eighth of the time of a large poll.
    """
    gc.set_threshold(*GC_THRESHOLDS)
