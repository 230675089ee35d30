"""A collector that is not there, hangs, refuses or talks nonsense: neither polls nor the end notice."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
import trustme

from tests.faults.matrix import Row
from tests.faults.outside import INTERVAL, MIB, exporter, free_port
from tests.http_server import Connection, StubServer
from tests.otlp import OtlpReceiver
from tests.replay import ReplayGateway, answer

Matrix = Callable[[Row], None]
Behaviour = Callable[[socket.socket], None]

POLLS = 4
SCRAPES = 100
SLOWEST_SCRAPE = 0.2
"""Seconds that a scrape takes on average at most: far more than it needs, and less than any wait here."""
LONGEST_GAP = 4.0
"""Seconds between two polls: far more than their interval, and less than a delivery is waited for."""
QUICK: Mapping[str, str] = MappingProxyType(
    {
        "SCRAPE_INTERVAL": INTERVAL,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
    }
)
"""So that trouble shows at once."""


@dataclass
class Peer(StubServer):
    """Treats every connection in its own way."""

    behave: Behaviour

    def converse(self, connection: Connection) -> None:
        """Handle a connection."""
        self.behave(connection.sock)


def hang(connection: socket.socket) -> None:
    """Take everything and never answer."""
    while connection.recv(65_536):
        pass


def take_request(connection: socket.socket) -> None:
    """Take a request up to the end of its head, and of its body as far as it came along."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65_536)
        if not part:
            raise ConnectionResetError
        received += part


def replying(reply: bytes, seconds: float = 0) -> Behaviour:
    """Answer one request with these bytes, after a while, and close."""

    def behave(connection: socket.socket) -> None:
        take_request(connection)
        threading.Event().wait(seconds)
        connection.sendall(reply)

    return behave


def reset(connection: socket.socket) -> None:
    """Reset the connection in the middle of a request."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def untrusted() -> ssl.SSLContext:
    """Return a context with a certificate that no client trusts."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


GRPC = MappingProxyType({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
NOTHING: Mapping[str, str] = MappingProxyType({})

METRICS = MappingProxyType(
    {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
)
GROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"Collector": NOTHING, "Collector that takes metrics": METRICS}
)
"""What is sent to it: spans and log records, or metrics alone."""
GROUP = next(iter(GROUPS))

CASES: tuple[tuple[str, Behaviour | None, str, Mapping[str, str], bool], ...] = (
    ("It is not there", None, "http", NOTHING, True),
    ("It is not there (gRPC)", None, "http", GRPC, True),
    ("It takes everything and never answers", hang, "http", NOTHING, True),
    ("It takes everything and never answers (gRPC)", hang, "http", GRPC, True),
    ("It refuses with 400", replying(answer(400)), "http", NOTHING, True),
    ("It refuses with 401", replying(answer(401)), "http", NOTHING, True),
    ("It fails with 503", replying(answer(503)), "http", NOTHING, True),
    ("It is slow: 0.5 s an answer", replying(answer(200), 0.5), "http", NOTHING, False),
    ("It resets connections", reset, "http", NOTHING, True),
    ("It answers garbage", replying(b"\x00\xff garbage\r\n\r\n"), "http", NOTHING, True),
    ("It answers garbage (gRPC)", replying(b"\x00\xff garbage\r\n\r\n"), "http", GRPC, True),
    ("Its certificate is not trusted", hang, "https", NOTHING, True),
)


@pytest.mark.parametrize("group", GROUPS, ids=["spans and records", "metrics"])
@pytest.mark.parametrize(
    ("place", "case"), list(enumerate(CASES)), ids=[case[0].replace(" ", "-") for case in CASES]
)
def test_collector(
    gateway: ReplayGateway,
    tmp_path: Path,
    matrix: Matrix,
    group: str,
    place: int,
    case: tuple[str, Behaviour | None, str, Mapping[str, str], bool],
) -> None:
    """No poll is late, scrapes are quick, the trouble is told once, and the end comes in time."""
    title, behave, scheme, variables, is_told = case
    with (
        Peer(behave or hang, tls=untrusted() if scheme == "https" else None) as peer,
        exporter(
            gateway,
            tmp_path / "log",
            {**QUICK, **variables, **GROUPS[group]},
            OTEL_EXPORTER_OTLP_ENDPOINT=peer.url if behave else f"http://127.0.0.1:{free_port()}",
        ) as running,
    ):
        running.wait_for_polls(POLLS)
        if is_told:
            running.wait_for("Telemetry not delivered")
        begun = time.monotonic()
        running.ask("/metrics", SCRAPES)
        took = time.monotonic() - begun
        metrics = running.up()
        code = running.end()

    assert 0 == code
    assert running.longest_gap() < LONGEST_GAP
    assert took < SCRAPES * SLOWEST_SCRAPE
    assert is_told == [record["message"] for record in running.records()].count("Telemetry not delivered")
    matrix(Row(group, place, title, "goes on", metrics, running.remarks()))


@pytest.mark.parametrize("group", GROUPS, ids=["spans and records", "metrics"])
def test_waiting_for_the_collector_holds_nothing(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, group: str
) -> None:
    """With the timeouts that are usual, a collector that hangs delays neither polls nor the end."""
    variables = {**GROUPS[group], "SCRAPE_INTERVAL": INTERVAL}
    with (
        Peer(hang) as peer,
        exporter(gateway, tmp_path / "log", variables, OTEL_EXPORTER_OTLP_ENDPOINT=peer.url) as running,
    ):
        running.wait_for_polls(12)
        metrics = running.up()
        code = running.end()

    assert 0 == code
    assert running.longest_gap() < LONGEST_GAP
    case = "It never answers, and the program is asked to stop"
    matrix(Row(group, len(CASES), case, f"ends ({code})", metrics, ""))


def test_undelivered_spans_do_not_fill_the_memory(
    gateway: ReplayGateway, tmp_path: Path, matrix: Matrix
) -> None:
    """When nothing can be delivered, spans beyond the queue's length are dropped."""
    variables = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"}
    with (
        OtlpReceiver(silent=True) as receiver,
        exporter(gateway, tmp_path / "log", variables, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as running,
    ):
        running.wait_for_polls(0)
        running.ask("/metrics", 500)
        before = running.memory()
        running.ask("/metrics", 3000)
        grown = running.memory() - before
        metrics = running.up()
        code = running.end()

    assert 0 == code
    assert grown < 6 * MIB
    case = "It never answers, and spans pile up"
    matrix(Row(GROUP, len(CASES) + 1, case, "drops spans", metrics, running.remarks()))
