"""How the memory of the process is kept."""

from __future__ import annotations

import ctypes
import gc

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Parameters of glibc's `mallopt`."""
LARGE_BYTES = 1024 * 1024
NEW_OBJECTS = 10_000
"""Python's own 700 would look for garbage a thousand times in one poll of 10,000 providers."""


def share_one_heap() -> None:
    """Let all threads use one heap, and give large blocks back to the system at once; glibc only.

    By itself glibc gives each thread a heap of its own, up to eight for a processor. Fetches and scrapes are
    made in many short-lived threads, and each heap stays as large as the largest answer that it ever held.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def look_for_garbage_rarely() -> None:
    """Look for objects that hang together in circles only after so many new ones; others go at once anyway.

    A poll keeps what it makes: looking through that again and again takes an eighth of a large one.
    """
    gc.set_threshold(NEW_OBJECTS)
