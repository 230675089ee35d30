"""All threads share one heap, and Python does not look for garbage all the time."""

from __future__ import annotations

import subprocess
import sys

import pytest

THREADS = """
import ctypes, re, sys, threading
from pathlib import Path
from exporter.system.memory import share_one_heap
if sys.argv[1:] == ["shared"]:
    share_one_heap()
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
# A heap beside the main one begins at a multiple of 64 MiB.
starts = re.findall("^([0-9a-f]+)-", Path("/proc/self/maps").read_text(), re.MULTILINE)
print(sum(int(start, 16) % (64 * 1024 * 1024) == 0 for start in starts))
"""


def heaps(*arguments: str) -> int:
    """Return how many heaps beside the main one four threads leave behind."""
    command = [sys.executable, "-c", THREADS, *arguments]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


GARBAGE = """
import gc
from exporter.system.memory import look_for_garbage_rarely
look_for_garbage_rarely()
class Circle:
    def __init__(self):
        self.me = self
gc.collect()
before = gc.get_stats()[0]["collections"]
kept = [Circle() for _ in range(4_000)]
print(gc.get_stats()[0]["collections"] - before)
for _ in range(40_000):
    Circle()
print(gc.get_stats()[0]["collections"] - before > 0)
"""


def test_garbage() -> None:
    """Thousands of objects that stay are not looked through, and garbage in circles is found all the same."""
    command = [sys.executable, "-c", GARBAGE]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert ["0", "True"] == said.split()


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked for it")
def test_one_heap() -> None:
    """Threads that take memory at the same time have heaps of their own, unless they are to share one."""
    assert 0 < heaps()
    assert 0 == heaps("shared")
