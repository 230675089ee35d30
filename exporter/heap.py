"""How the C library keeps the memory of the process."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""Parameters of glibc's `mallopt`."""
LARGE_BYTES = 1024 * 1024


def share_one_heap() -> None:
    """Let all threads use one heap, and give large blocks back to the system at once; glibc only.

    By itself glibc gives each thread a heap of its own, up to eight for a processor. Fetches and scrapes are
    made in many short-lived threads, and each heap stays as large as the largest answer that it ever held.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
