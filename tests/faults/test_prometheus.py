"""A Prometheus that is absent, hangs, refuses or is wrong delays neither polls, scrapes nor pages."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.faults.matrix import Matrix, Row
from tests.faults.outside import INTERVAL, PATIENCE, exporter
from tests.faults.peer import Answer, Drips, Resets, Says, Silence, Streams
from tests.http_server import Asked, Connection, StubServer, free_port
from tests.replay import ReplayGateway, answer
from tests.waiting import wait_until

NOT_READ, READ = "Prometheus not read", "History read from Prometheus"
PAGES = ("/", "/metrics", "/api/v1/providers")
REQUESTS = 30
MAX_SECONDS = 0.2
"""Limit of the average answer: much more than one needs, and less than any timeout here."""
LONGEST_GAP = 4.0
"""Seconds between two polls: much more than the interval, and less than the timeout of a query."""
CHUNK = b" " * 65_536


def document(result: object) -> bytes:
    """Return an answer to a query, for a connection that stays open."""
    return answer(200, json.dumps({"status": "success", "data": {"result": result}}).encode())


def series(provider: str, date: float, value: str) -> dict[str, object]:
    """Return a series of either kind of query with the same sample a hundred times."""
    return {"metric": {"provider": provider}, "values": [[date, value]] * 100, "value": [date, value]}


IMPOSSIBLE = [
    series("groq", date, value) for date in (0, -1e9, 1e300) for value in ("NaN", "-1", "1e300", "17", "x")
]
CASES: tuple[tuple[str, Answer | None, str], ...] = (
    ("Not present", None, "connect"),
    ("Never answers", Silence(), ""),
    ("Sends a byte a second", Drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "), ""),
    ("Resets connections", Resets(), "connect"),
    ("Answers with 401", Says(answer(401)), "unauthorized"),
    ("Answers with 503", Says(answer(503)), "server_error"),
    ("Answers with a page", Says(answer(200, b"<html>")), "not_json"),
    (
        "Answers with JSON of another shape",
        Says(answer(200, b'{"status":"success","data":[]}')),
        "wrong_shape",
    ),
    ("Answers with samples that cannot be", Says(document(IMPOSSIBLE)), "ok"),
    (
        "Answers with 10 MB of other series",
        Says(document([series(f"other-{number}", 1.8e9, "1") for number in range(4000)])),
        "ok",
    ),
    ("Answers without an end", Streams(b"HTTP/1.1 200 OK\r\n\r\n", CHUNK), "too_large"),
)


@dataclass
class Peer(StubServer):
    """A Prometheus that gives every query the same answer."""

    played: Answer

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer a query."""
        return self.played.play(connection)


@pytest.mark.parametrize("place", range(len(CASES)), ids=[title.replace(" ", "-") for title, *_ in CASES])
def test_prometheus(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix, place: int) -> None:
    """Polls, answers and the stop are not delayed; the failure is in the log and on the page."""
    title, played, outcome = CASES[place]
    with (
        Peer(played or Silence()) as peer,
        exporter(
            gateway,
            tmp_path / "log",
            SCRAPE_INTERVAL=INTERVAL,
            PROMETHEUS_URL=peer.url if played else f"http://127.0.0.1:{free_port()}",
        ) as running,
    ):
        running.wait_for_polls(4)
        if outcome:
            found = running.wait_for(READ if outcome == "ok" else NOT_READ)
            if outcome != "ok":
                assert outcome == found["outcome"]
        if outcome not in ("", "ok"):
            # The page itself is made once for each poll.
            wait_until(lambda: "Prometheus cannot be read" in page(running.url), PATIENCE)
        begun = time.monotonic()
        for path in PAGES:
            running.ask(path, REQUESTS)
        took = time.monotonic() - begun
        metrics = running.up()
        assert 0 == running.end()

    assert running.longest_gap() < LONGEST_GAP
    assert took < len(PAGES) * REQUESTS * MAX_SECONDS
    messages = [record["message"] for record in running.records()]
    assert (outcome not in ("", "ok")) == messages.count(NOT_READ)
    matrix(Row("Prometheus", place, title, outcome or "continues", metrics, running.warnings()))


def page(url: str) -> str:
    """Return the status page."""
    return requests.get(url, timeout=PATIENCE).text
