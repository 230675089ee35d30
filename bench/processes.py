"""Child processes, and their CPU time and memory."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 10.0
REST_SECONDS, REST_LOOKS = 0.1, 5
REST_CPU_SECONDS = 0.001
"""CPU time of an idle process between two looks."""
CPU_CLOCK_OF_PROCESS = 2
"""Low bits of the id of the clock for the CPU time of another process, as in the Linux kernel."""


@dataclass(frozen=True)
class Memory:
    """Memory of a process in MiB."""

    resident: float
    peak: float


@contextmanager
def child(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process until the block ends, with PATH as its only inherited variable; log its output."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Return a free port of the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, ended threads included."""
    return time.clock_gettime(~pid << 3 | CPU_CLOCK_OF_PROCESS)


def wait_for_rest(pid: int) -> None:
    """Wait until no thread of a process runs or waits for a CPU."""
    observed = cpu_seconds(pid)
    quiet = 0
    while quiet < REST_LOOKS:
        time.sleep(REST_SECONDS / REST_LOOKS)
        before, observed = observed, cpu_seconds(pid)
        is_busy = observed - before > REST_CPU_SECONDS or any(map(_is_runnable, _threads(pid)))
        quiet = 0 if is_busy else quiet + 1


def _threads(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").iterdir()


def _is_runnable(thread: Path) -> bool:
    """Return whether a thread runs or waits for a CPU; the state follows the name in parentheses."""
    try:
        return (thread / "stat").read_text(encoding="utf-8").rpartition(") ")[2].startswith("R")
    except (FileNotFoundError, ProcessLookupError):
        return False


def memory(pid: int) -> Memory:
    """Return resident memory and its peak."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    values = dict(line.split(":\t", 1) for line in lines)
    return Memory(*(int(values[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")))
