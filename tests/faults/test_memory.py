"""What the largest bodies cost: the process stays far from the memory that it is given."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import pytest

from bench.fleet import fleet
from exporter.errors import Outcome
from exporter.model.endpoints import MEBIBYTE, Endpoint
from tests.faults.cases import CASES, OPEN_END
from tests.faults.front import KEY
from tests.faults.matrix import Row
from tests.faults.outside import Exporter, exporter, wait_until
from tests.faults.peer import Answer, Gateway, State, Streams, list_only
from tests.process import program
from tests.replay import LIST, ReplayGateway, answer

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


READERS = 100
MOST_FOR_READERS = 64 * MEBIBYTE
"""Far less than one body each, which would be 450 MiB."""


def ask_and_read_nothing(running: Exporter) -> socket.socket:
    """Return a connection on which the largest answer waits to be taken."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", running.port))
    connection.sendall(b"GET /metrics HTTP/1.1\r\naccept-encoding: identity\r\n\r\n")
    return connection


def test_silent_readers(gateway: ReplayGateway, tmp_path: Path, matrix: Callable[[Row], None]) -> None:
    """Clients that take nothing of the answers for 10,000 providers cost little, and hold no scrape."""
    gateway.answers[LIST] = answer(200, fleet(10_000)[0].providers)
    with ExitStack() as stack:
        running = stack.enter_context(exporter(gateway, tmp_path / "log", SCRAPE_INTERVAL="600"))
        running.wait_for("Updated provider metrics")
        # The list takes longer to be published than to be logged.
        wait_until(lambda: "provider-09999" in running.scrape())
        forget_peak(running.process.pid)
        before = peak_of(running.process.pid)
        silent = [stack.enter_context(ask_and_read_nothing(running)) for _ in range(READERS)]
        assert all(connection.recv(1) for connection in silent)
        text = running.scrape()
        peak = peak_of(running.process.pid)
        metrics = running.up()
        remarks = running.remarks()

    assert "provider-09999" in text
    assert peak - before < MOST_FOR_READERS, f"{(peak - before) / MEBIBYTE:.0f} MiB"
    case = "100 scrapers take nothing of 4 MiB each"
    matrix(Row("Clients", 7, case, "scraped beside them", metrics, remarks))


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
