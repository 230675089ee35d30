"""A collector that is absent, hangs, refuses or answers nonsense delays neither polls nor the shutdown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.certificates import Tls, server_contexts
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import INTERVAL, MIB, exporter
from tests.faults.peer import Answer, Resets, Says, Silence
from tests.http_server import Asked, Connection, StubServer, free_port
from tests.otlp import OtlpReceiver
from tests.replay import ReplayGateway, answer

UNDELIVERED = "Telemetry not delivered"
SCRAPES = 100
MAX_SCRAPE_SECONDS = 0.2
"""Limit of the average: much more than a scrape needs, and less than any timeout here."""
LONGEST_GAP = 4.0
"""Seconds between two polls: much more than the interval, and less than the timeout of a delivery."""
QUICK: Mapping[str, str] = {
    "SCRAPE_INTERVAL": INTERVAL,
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_BLRP_SCHEDULE_DELAY": "100",
}
"""Failures show at once."""
GROUPS: Mapping[str, Mapping[str, str]] = {
    "Collector": {},
    "Collector for metrics": {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    },
}
"""Spans and log records, or only metrics."""
every_group = pytest.mark.parametrize("group", GROUPS, ids=["spans and records", "metrics"])


@dataclass
class Peer(StubServer):
    """A collector that gives every request the same answer, after a delay."""

    played: Answer
    delay: float = 0

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer a request."""
        connection.wait(self.delay)
        return self.played.play(connection)


def says(data: bytes) -> Says:
    """Answer with these bytes, and close."""
    return Says(data, stays=False)


GARBAGE = says(b"\x00\xff garbage\r\n\r\n")
SLOW = "Slow: 0.5 s per answer"
CASES: tuple[tuple[str, Answer | None, str], ...] = (
    ("Not present", None, "http"),
    ("Not present (gRPC)", None, "grpc"),
    ("Never answers", Silence(), "http"),
    ("Never answers (gRPC)", Silence(), "grpc"),
    ("Answers with 400", says(answer(400)), "http"),
    ("Answers with 401", says(answer(401)), "http"),
    ("Answers with 503", says(answer(503)), "http"),
    (SLOW, says(answer(200)), "http"),
    ("Resets connections", Resets(), "http"),
    ("Answers with garbage", GARBAGE, "http"),
    ("Answers with garbage (gRPC)", GARBAGE, "grpc"),
    ("Untrusted certificate", Silence(), "https"),
)


@every_group
@pytest.mark.parametrize("place", range(len(CASES)), ids=[title.replace(" ", "-") for title, *_ in CASES])
def test_collector(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, group: str, place: int) -> None:
    """Polls and scrapes are not delayed, the failure is logged once, and the exporter stops in time."""
    title, played, protocol = CASES[place]
    is_logged, delay = title != SLOW, 0.5 if title == SLOW else 0
    protocols = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"} if protocol == "grpc" else {}
    tls = server_contexts()[Tls.UNTRUSTED] if protocol == "https" else None
    with (
        Peer(played or Silence(), delay, tls=tls) as peer,
        exporter(
            gateway,
            tmp_path / "log",
            {**QUICK, **GROUPS[group], **protocols},
            OTEL_EXPORTER_OTLP_ENDPOINT=peer.url if played else f"http://127.0.0.1:{free_port()}",
        ) as running,
    ):
        running.wait_for_polls(4)
        if is_logged:
            running.wait_for(UNDELIVERED)
        begun = time.monotonic()
        running.ask("/metrics", SCRAPES)
        took = time.monotonic() - begun
        metrics = running.up()
        assert 0 == running.end()

    assert running.longest_gap() < LONGEST_GAP
    assert took < SCRAPES * MAX_SCRAPE_SECONDS
    assert is_logged == [record["message"] for record in running.records()].count(UNDELIVERED)
    matrix(Row(group, place, title, "continues", metrics, running.warnings()))


@every_group
def test_default_timeouts(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, group: str) -> None:
    """With the default timeouts a collector that hangs delays neither polls nor the shutdown."""
    variables = {**GROUPS[group], "SCRAPE_INTERVAL": INTERVAL}
    with (
        Peer(Silence()) as peer,
        exporter(gateway, tmp_path / "log", variables, OTEL_EXPORTER_OTLP_ENDPOINT=peer.url) as running,
    ):
        running.wait_for_polls(12)
        metrics = running.up()
        assert 0 == running.end()

    assert running.longest_gap() < LONGEST_GAP
    matrix(Row(group, len(CASES), "Never answers, and SIGTERM", "exit code 0", metrics, ""))


def test_memory_of_undelivered_spans(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Spans beyond the length of the queue are dropped when nothing can be delivered."""
    variables = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"}
    with (
        OtlpReceiver(silent=True) as receiver,
        exporter(gateway, tmp_path / "log", variables, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as running,
    ):
        running.wait_for_polls(0)
        running.ask("/metrics", 500)
        before = running.memory()
        running.ask("/metrics", 3000)
        growth = running.memory() - before
        metrics = running.up()
        assert 0 == running.end()

    assert growth < 6 * MIB
    title = "Never answers, with many spans"
    matrix(Row("Collector", len(CASES) + 1, title, "spans dropped", metrics, running.warnings()))
