"""Tests of `exporter.web.server`, the adapter for uvicorn: limits of connections, reload and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.config.settings import WebSettings
from exporter.web import healthsocket, server
from exporter.web.listeners import Listener, bind
from exporter.web.server import MAX_PIPELINED, MAX_REQUEST_BYTES, TOO_LARGE, HealthListener, Server
from tests.http_server import free_port
from tests.waiting import wait_until
from tests.webserver import PATIENCE, read_to_end, run

SHORT = 0.3
"""Seconds that replace the timeouts for request and response."""
BIG = b"x" * 50_000_000
ENDLESS = 20_000_000
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE_HEAD = b"GET / HTTP/1.1\r\nx: " + b"a" * MAX_REQUEST_BYTES
BODY = b"\r\n\r\nok"


@dataclass(frozen=True)
class Served:
    """A server on a port of the loopback, with a health listener."""

    port: int
    health: bytes

    def connect(self, *, health: bool = False) -> socket.socket:
        """Return an open connection to the port or to the health socket."""
        if not health:
            return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.health)
        return connection


async def small(request: Request) -> Response:
    """Return two bytes."""
    return Response("ok")


async def big(request: Request) -> Response:
    """Return more than all buffers of the system can hold."""
    return Response(BIG)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The real server with short timeouts."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", SHORT)
    monkeypatch.setattr(server, "RESPONSE_SECONDS", SHORT)
    listener = Listener(fileno=healthsocket.bind("127.0.0.1", free_port()).detach())
    health = HealthListener(Starlette(routes=[Route("/", small)]), listener)
    with run(Server(Starlette(routes=[Route("/", small), Route("/big", big)]), health=health)) as port:
        yield Served(port, listener.getsockname())


def read_response(connection: socket.socket) -> bytes:
    """Return one response, which must be the small one."""
    received = b""
    while not received.endswith(BODY):
        part = connection.recv(65_536)
        assert part, f"closed after {received!r}"
        received += part
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    return received


@pytest.mark.parametrize("health", [False, True], ids=["port", "health socket"])
@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n", BODY),
        (LARGE_HEAD, TOO_LARGE),
    ],
    ids=["nothing", "half a line", "half a head", "missing body", "large head"],
)
def test_invalid_request(served: Served, health: bool, request_: bytes, response: bytes) -> None:
    """Incomplete and large requests end the connection, on the port and on the health socket."""
    with served.connect(health=health) as connection:
        connection.sendall(request_)
        received = read_to_end(connection)

    assert received.endswith(response) if response else b"" == received


def test_dripping_request(served: Served) -> None:
    """Slowly arriving bytes do not extend the timeout."""
    begun = time.monotonic()
    with served.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        while time.monotonic() - begun < PATIENCE:
            connection.send(b"a")
            time.sleep(SHORT / 10)

    assert time.monotonic() - begun < PATIENCE


def test_later_requests(served: Served) -> None:
    """Timeout and size limit are per request: a connection closes when a later request is incomplete."""
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n")
            read_response(connection)
        connection.sendall(REQUEST[:10])

        assert b"" == read_to_end(connection)


@pytest.mark.parametrize(
    "frame", [b"content-length: 99999999\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n0\r\n"]
)
def test_endless_body(served: Served, frame: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless bodies and trailers are cut off by size, before the timeout."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", 10 * PATIENCE)
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
    """Pipelined requests are answered in order; too many end the connection."""
    with served.connect() as connection:
        connection.sendall(REQUEST * MAX_PIPELINED)
        received = b""
        while received.count(BODY) < MAX_PIPELINED:
            received += connection.recv(65_536)
    with served.connect() as connection:
        connection.sendall(REQUEST * (MAX_PIPELINED + 2))
        cut = read_to_end(connection)

    assert MAX_PIPELINED == received.count(b"HTTP/1.1 200 OK\r\n") > cut.count(b"HTTP/1.1 200 OK\r\n")


def test_response_that_is_not_read(served: Served) -> None:
    """A response that the client does not read is aborted after the timeout."""
    with served.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        # The abort cannot be observed without reading, so the test has to wait.
        time.sleep(SHORT * 4)

        assert len(read_to_end(connection)) < len(BIG)


def test_date_header(served: Served) -> None:
    """Every response has one current date, including the rejection of malformed requests."""
    for request in (b"what\r\n\r\n", b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n"):
        before = int(time.time())
        with served.connect() as connection:
            connection.send(request)
            head = read_to_end(connection).partition(b"\r\n\r\n")[0].decode()
        (date,) = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("date: ")]

        assert before <= parsedate_to_datetime(date).timestamp() <= time.time()


def test_date_of_later_responses(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a persistent connection each response has the date of its own request."""
    dates = []
    with served.connect() as connection:
        for second in (0, 86_400):
            monkeypatch.setattr(server, "time", SimpleNamespace(time=lambda now=second: now))
            connection.send(b"GET / HTTP/1.1\r\n\r\n")
            lines = read_response(connection).decode().splitlines()
            dates += [line for line in lines if line.startswith("date: ")]

    assert ["date: Thu, 01 Jan 1970 00:00:00 GMT", "date: Fri, 02 Jan 1970 00:00:00 GMT"] == dates


# Reload and shutdown


@pytest.mark.parametrize("moment", ["before", "while"])
def test_reload(moment: str) -> None:
    """A reload signal calls `on_reload` once in the event loop, even if it precedes the start."""
    reloads: list[str] = []
    running = Server(Starlette(), on_reload=lambda: reloads.append(threading.current_thread().name))
    if moment == "before":
        running.handle_reload(1, None)
    with run(running):
        wait_until(lambda: running.started)
        if moment == "while":
            running.handle_reload(1, None)
        wait_until(lambda: reloads)

    assert ["loop"] == reloads


def test_idle_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle server never wakes up, and stops when any thread sets `should_exit`."""
    iterations: list[float | None] = []
    select = selectors.DefaultSelector.select

    def counted(selector: selectors.DefaultSelector, timeout: float | None = None) -> Any:
        iterations.append(timeout)
        return select(selector, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", counted)
    running = Server(Starlette())
    with run(running):
        wait_until(lambda: running.started)
        time.sleep(0.1)
        before = len(iterations)
        time.sleep(0.5)
        assert before == len(iterations) > 0
    # Has no effect after the end of the loop.
    running.should_exit = True


def test_connection_during_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that is accepted while the server stops is closed, and does not delay the stop."""
    running = Server(Starlette())

    async def serve(listener: Listener) -> bytes:
        serving = asyncio.create_task(running.serve([listener]))
        while not running.started:
            await asyncio.sleep(0.01)
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            # The loop accepts the connection in its next iteration, after `should_exit` is set.
            await asyncio.sleep(0)
            running.should_exit = True
            await serving
            return client.recv(1)

    with bind(WebSettings("127.0.0.1", 0)) as listener:
        assert b"" == asyncio.run(serve(listener))
    assert [] == [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]


def test_stopped_before_the_start() -> None:
    """A server that is stopped before it serves returns at once."""
    running = Server(Starlette())
    running.should_exit = True

    with bind(WebSettings("127.0.0.1", 0)) as listener:
        running.run([listener])

    assert running.should_exit
