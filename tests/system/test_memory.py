"""The limit of malloc arenas, and the threshold of the garbage collector."""

from __future__ import annotations

import subprocess
import sys

import pytest

THREADS = """
import ctypes, re, sys, threading
from pathlib import Path
from exporter.system.memory import limit_malloc_arenas
if sys.argv[1:] == ["limited"]:
    limit_malloc_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def take():
    libc.malloc(ctypes.c_size_t(1000))
    barrier.wait()
barrier = threading.Barrier(5)
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
barrier.wait()
for thread in threads:
    thread.join()
# An arena other than the main one starts at a multiple of 64 MiB.
starts = re.findall("^([0-9a-f]+)-", Path("/proc/self/maps").read_text(), re.MULTILINE)
print(sum(int(start, 16) % (64 * 1024 * 1024) == 0 for start in starts))
"""


def arenas(*arguments: str) -> int:
    """Return the number of arenas, without the main one, after four threads."""
    command = [sys.executable, "-c", THREADS, *arguments]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


GARBAGE = """
import gc
from exporter.system.memory import raise_gc_threshold
raise_gc_threshold()
class Cycle:
    def __init__(self):
        self.me = self
gc.collect()
before = gc.get_stats()[0]["collections"]
kept = [Cycle() for _ in range(4_000)]
print(gc.get_stats()[0]["collections"] - before)
for _ in range(40_000):
    Cycle()
print(gc.get_stats()[0]["collections"] - before > 0)
"""


def test_gc_threshold() -> None:
    """Thousands of long-lived objects cause no collection; reference cycles are still collected."""
    command = [sys.executable, "-c", GARBAGE]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert ["0", "True"] == output.split()


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_malloc_arenas() -> None:
    """Concurrent threads have arenas of their own by default, and one with the limit."""
    assert 0 < arenas()
    assert 0 == arenas("limited")
