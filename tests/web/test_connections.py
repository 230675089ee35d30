"""A connection is closed when nothing complete comes, when too much comes, and when nothing is taken."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.config.settings import WebSettings
from exporter.web import connections, healthsocket, server

SHORT = 0.3
"""Seconds that stand for ten, and for thirty."""
PATIENCE = 10.0
BIG = b"x" * 50_000_000
ENDLESS = 20_000_000
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass(frozen=True)
class Served:
    """A server on a port of the loopback."""

    port: int

    def connect_aside(self) -> socket.socket:
        """Return an open connection to the side door."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(healthsocket.address("127.0.0.1", self.port))
        return connection

    def connect(self) -> socket.socket:
        """Return an open connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


async def small(request: Request) -> Response:
    """Answer with two bytes."""
    return Response("ok")


async def big(request: Request) -> Response:
    """Answer with more than any buffer of the system holds."""
    return Response(BIG)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The real server, with all waits short."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", SHORT)
    monkeypatch.setattr(connections, "ANSWER_SECONDS", SHORT)
    listener = server.bind(WebSettings("127.0.0.1", 0))
    app, aside = (
        Starlette(routes=[Route("/", small), Route("/big", big)]),
        Starlette(routes=[Route("/", small)]),
    )
    local = healthsocket.bind("127.0.0.1", listener.getsockname()[1])
    side_door = server.SideDoor(aside, server.Listener(fileno=local.detach()))
    running = server.Server(app, side_door=side_door)
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    yield Served(listener.getsockname()[1])
    running.should_exit = True
    thread.join(PATIENCE)
    listener.close()


def until_closed(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes or resets."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionResetError:
        pass
    return received


def take_answer(connection: socket.socket) -> None:
    """Take one answer, which has to be the small one."""
    received = b""
    while not received.endswith(b"\r\n\r\nok"):
        part = connection.recv(65_536)
        assert part, f"closed after {received!r}"
        received += part
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


def drip(connection: socket.socket, byte: bytes) -> float:
    """Send a byte now and then until the other side has closed, and return how long that took."""
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < PATIENCE:
            connection.send(byte)
            time.sleep(SHORT / 10)
    except OSError:
        pass
    return time.monotonic() - begun


def test_answer(served: Served) -> None:
    """A complete request is answered."""
    with served.connect() as connection:
        connection.sendall(REQUEST)

        take_answer(connection)


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n"],
    ids=["nothing", "half a line", "half a head"],
)
def test_request_that_never_ends(served: Served, begun: bytes) -> None:
    """A connection without a complete request in time is closed without an answer."""
    with served.connect() as connection:
        connection.sendall(begun)

        assert b"" == until_closed(connection)


def test_body_that_never_comes(served: Served) -> None:
    """Who announces a body and does not send it has an answer, and is closed."""
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")

        assert until_closed(connection).endswith(b"\r\n\r\nok")


def test_dripping_request(served: Served) -> None:
    """Bytes that drip in do not prolong the time."""
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")

        assert drip(connection, b"a") < PATIENCE


def test_second_request_has_its_own_time(served: Served) -> None:
    """A connection stays open from request to request, and a further one that never ends is closed, too."""
    with served.connect() as connection:
        for _ in range(2):
            connection.sendall(REQUEST)
            take_answer(connection)
        connection.sendall(REQUEST[:10])

        assert b"" == until_closed(connection)


def test_large_head(served: Served) -> None:
    """Headers without an end are refused before they fill the memory."""
    with served.connect() as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 1_000_000)
        except OSError:
            return

        assert until_closed(connection) in (connections.TOO_LARGE, b"")


def test_head_just_over_the_limit(served: Served) -> None:
    """A head over the limit is told so."""
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * connections.MAX_REQUEST_BYTES)

        assert connections.TOO_LARGE == until_closed(connection)


def test_many_small_requests_on_one_connection(served: Served) -> None:
    """The limit is for one head, not for all of a connection."""
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n")
            take_answer(connection)


@pytest.mark.parametrize(
    "frame", [b"content-length: 99999999\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n0\r\n"]
)
def test_endless_request(served: Served, frame: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body and trailers without an end are cut off at the same size as headers, before the time is over."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 10 * PATIENCE)
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + frame)
        answered = connection.recv(65_536)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < ENDLESS:
                sent += connection.send(b"x: " + b"y" * 1000 + b"\r\n")

    assert answered.startswith(b"HTTP/1.1 405 ")
    assert sent < ENDLESS


def test_pipelined_requests(served: Served) -> None:
    """Requests that are sent at once are answered in turn."""
    with served.connect() as connection:
        connection.sendall(REQUEST * connections.MAX_PIPELINED)
        received = b""
        while received.count(b"\r\n\r\nok") < connections.MAX_PIPELINED:
            received += connection.recv(65_536)

    assert connections.MAX_PIPELINED == received.count(b"HTTP/1.1 200 OK\r\n")


def test_too_many_pipelined_requests(served: Served) -> None:
    """Who sends far more requests than are answered is cut off."""
    with served.connect() as connection:
        connection.sendall(REQUEST * (connections.MAX_PIPELINED + 2))

        assert until_closed(connection).count(b"HTTP/1.1 200 OK\r\n") < connections.MAX_PIPELINED


def test_answer_that_is_not_taken(served: Served) -> None:
    """An answer that nobody takes is dropped: what comes afterwards is less than all of it."""
    with served.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        # Nothing can be observed here but that time passes while nothing is taken.
        time.sleep(SHORT * 4)

        assert len(until_closed(connection)) < len(BIG)


def test_side_door(served: Served) -> None:
    """The second application answers on its own socket alone."""
    with served.connect_aside() as connection:
        connection.sendall(REQUEST)
        take_answer(connection)
        connection.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")

        assert connection.recv(65_536).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("begun", [b"", REQUEST[:10]], ids=["nothing", "half a line"])
def test_silence_at_the_side_door(served: Served, begun: bytes) -> None:
    """The bounds are the same there."""
    with served.connect_aside() as connection:
        connection.sendall(begun)

        assert b"" == until_closed(connection)


def test_large_head_at_the_side_door(served: Served) -> None:
    """The limit of a head is the same there."""
    with served.connect_aside() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * connections.MAX_REQUEST_BYTES)

        assert connections.TOO_LARGE == until_closed(connection)


def test_answers_are_dated(served: Served) -> None:
    """Each answer tells when it was made, the refusal of what is no request, too."""
    for request in (b"what\r\n\r\n", b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n"):
        before = int(time.time())
        with served.connect() as connection:
            connection.send(request)
            head = until_closed(connection).partition(b"\r\n\r\n")[0].decode()
        dates = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("date: ")]

        assert 1 == len(dates)
        assert before <= parsedate_to_datetime(dates[0]).timestamp() <= time.time()


def test_later_answer_has_a_later_date(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a connection that is kept, each answer has the date of its own request."""
    dates = []
    with served.connect() as connection:
        for second in (0, 86_400):
            monkeypatch.setattr(connections, "time", SimpleNamespace(time=lambda now=second: now))
            connection.send(b"GET / HTTP/1.1\r\n\r\n")
            received = b""
            while not received.endswith(b"\r\n\r\nok"):
                received += connection.recv(65_536)
            dates += [line for line in received.decode().splitlines() if line.startswith("date: ")]

    assert ["date: Thu, 01 Jan 1970 00:00:00 GMT", "date: Fri, 02 Jan 1970 00:00:00 GMT"] == dates
