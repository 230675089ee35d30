"""What the largest bodies cost: the process stays far from the memory that it is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from exporter.endpoints import MEBIBYTE, Endpoint
from exporter.errors import Outcome
from tests.faults.cases import CASES, OPEN_END
from tests.faults.front import KEY
from tests.faults.matrix import Row
from tests.faults.peer import Answer, Gateway, State, Streams, list_only
from tests.process import program

MOST_MEMORY = 160 * MEBIBYTE
"""Above what the program takes when idle; it is given 256 MiB in docker-compose.yml."""
CAP = Endpoint.PROVIDERS.max_bytes


def filled(text: bytes, head: bytes = b"[", tail: bytes = b"]") -> Answer:
    """Return an answer just under the size limit that repeats `text`."""
    chunk = text * (MEBIBYTE // len(text))
    return Streams(OPEN_END + head, chunk, CAP // len(chunk) - 1, tail)


BODIES: Mapping[str, tuple[str, Outcome, State]] = MappingProxyType(
    {
        "endless": ("A body without end", Outcome.TOO_LARGE, CASES["endless"].state),
        "bomb": ("A gzip bomb", Outcome.TOO_LARGE, CASES["bomb"].state),
        "bomb-in-bomb": ("A gzip bomb in a gzip bomb", Outcome.TOO_LARGE, CASES["bomb-in-bomb"].state),
        "objects": (
            "63 MiB of `{},{},...`, which would take 1.6 GiB",
            Outcome.TOO_LARGE,
            State(list_only(filled(b"{},", tail=b"{}]"))),
        ),
        "not-json": (
            "63 MiB of what is not JSON",
            Outcome.NOT_JSON,
            State(list_only(filled(b"x", tail=b""))),
        ),
        "one-text": (
            "63 MiB that are one text",
            Outcome.WRONG_SHAPE,
            State(list_only(filled(b"x", head=b'["', tail=b'"]'))),
        ),
        "blanks": (
            "63 MiB of blanks around a list that is good",
            Outcome.OK,
            State(list_only(filled(b" ", head=b'[{"slug":"a"}'))),
        ),
    }
)


def peak_of(process: int) -> int:
    """Return the most resident memory that a process has had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text(encoding="ascii"))
    assert found
    return int(found[1]) * 1024


def forget_peak(process: int) -> None:
    """Let the most be what it is now."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


@pytest.mark.parametrize("name", BODIES)
def test_large_body(name: str, matrix: Callable[[Row], None]) -> None:
    """The largest bodies have their outcome, and cost less than the program may take."""
    title, outcome, state = BODIES[name]
    settings = {"SCRAPE_INTERVAL": "10", "FETCH_TIMEOUT": "8", "METRICS_HOST": "127.0.0.1"}
    with (
        Gateway() as gateway,
        program(
            GATEWAY_API_URL=f"http://{gateway.address}", ADMIN_KEY=KEY, METRICS_PORT="0", **settings
        ) as running,
    ):
        running.record("Updated provider metrics")
        gateway.become(state)
        forget_peak(running.process.pid)
        idle = peak_of(running.process.pid)
        if outcome is Outcome.OK:
            running.record("Provider appeared", 60)
        else:
            assert outcome.value == running.record("Fetch failed", 60)["outcome"]
        peak = peak_of(running.process.pid)
        assert peak - idle < MOST_MEMORY, f"{(peak - idle) / MEBIBYTE:.0f} MiB"

        assert running.process.poll() is None
        assert 0 == running.end()[0]
    metrics = "less than 160 MiB of memory above idle"
    log = "Updated provider metrics" if outcome is Outcome.OK else "Fetch failed"
    matrix(Row("Large bodies", list(BODIES).index(name), title, outcome.value, metrics, log))
