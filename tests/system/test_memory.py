"""The limit of malloc arenas, and the threshold of the garbage collector."""

from __future__ import annotations

import subprocess
import sys

import pytest

THREADS = r"""
import ctypes, re, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from exporter.system.memory import limit_malloc_arenas
if sys.argv[1:] == ["limited"]:
    limit_malloc_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def take(size):
    libc.malloc(ctypes.c_size_t(size))
    barrier.wait()
barrier = threading.Barrier(4)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(take, [1000] * 4))
# An arena other than the main one is anonymous memory that starts at a multiple of 64 MiB.
anonymous = re.compile(r"^([0-9a-f]+)-\S+ rw-p 0+ 00:00 0 *$", re.MULTILINE)
starts = anonymous.findall(Path("/proc/self/maps").read_text())
print(sum(int(start, 16) % (64 * 1024 * 1024) == 0 for start in starts))
"""
GARBAGE = """
import gc
from exporter.system.memory import raise_gc_threshold
raise_gc_threshold()
class Cycle:
    def __init__(self):
        self.me = self
gc.collect()
before, full = (gc.get_stats()[generation]["collections"] for generation in (0, 2))
kept = [Cycle() for _ in range(4_000)]
print(gc.get_stats()[0]["collections"] - before)
for _ in range(40_000):
    Cycle()
kept += [[] for _ in range(1_500_000)]
print(gc.get_stats()[0]["collections"] - before > 0)
print(gc.get_stats()[2]["collections"] - full)
"""


def output(code: str, *arguments: str) -> list[str]:
    """Return the words that a program prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


def test_gc_threshold() -> None:
    """Thousands of long-lived objects cause no collection, a million no full one; cycles are collected."""
    assert ["0", "True", "0"] == output(GARBAGE)


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_malloc_arenas() -> None:
    """Concurrent threads have arenas of their own by default, and one with the limit."""
    assert ["0"] != output(THREADS)
    assert ["0"] == output(THREADS, "limited")
