"""Tests of `exporter.web.streaming`."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from exporter.web import streaming
from exporter.web.server import Server
from exporter.web.streaming import MAX_BODIES, MIN_CHUNK_BYTES, BodyStreamer, StreamedResponse
from exporter.webconfig.config import read
from exporter.webconfig.tls import ReloadingContext
from tests.certificates import Folder
from tests.waiting import wait_until
from tests.webserver import PATIENCE, run

BODY = bytes(range(256)) * 40_000
"""Larger than the buffers of the system."""
BUFFER = 1024 * 1024
READERS = 12


@dataclass
class Served:
    """A server that returns a different body for each path."""

    port: int
    client: ssl.SSLContext | None
    running: Server
    streamer: BodyStreamer = field(default_factory=BodyStreamer)
    bodies: dict[str, bytes] = field(default_factory=dict)

    async def respond(self, request: Request) -> StreamedResponse:
        """Return the body of the path."""
        path = request.url.path
        body = self.bodies.setdefault(path, BODY + path.encode())
        return StreamedResponse(self.streamer, body, "text/plain")

    def ask(self, path: str, method: str = "GET") -> socket.socket:
        """Send a request without reading the response."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", self.port))
        if self.client:
            connection = self.client.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(f"{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n".encode())
        return connection

    def take(self, path: str, method: str = "GET") -> bytes:
        """Return the body of a response."""
        with self.ask(path, method) as connection:
            return received(connection)

    def buffered(self) -> list[int]:
        """Return the sizes of all write buffers, including those below TLS."""
        own: list[Any] = [each.transport for each in list(self.running.server_state.connections)]
        below = [each._ssl_protocol._transport for each in own if hasattr(each, "_ssl_protocol")]
        return [each.get_write_buffer_size() for each in (*own, *below)]

    @property
    def is_idle(self) -> bool:
        """Whether no client and no byte is left."""
        return not self.streamer._clients and not self.streamer._buffered


def received(connection: socket.socket) -> bytes:
    """Return the body up to the end of the connection."""
    parts = iter(lambda: connection.recv(1_000_000), b"")
    return b"".join(parts).partition(b"\r\n\r\n")[2]


def is_cut(connection: socket.socket) -> bool:
    """Return whether the connection ends before the end of the body."""
    try:
        return len(received(connection)) < len(BODY)
    except (ConnectionResetError, ssl.SSLEOFError):
        return True


@pytest.fixture(params=["plain", "tls"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """The real server with a small buffer."""
    monkeypatch.setattr(streaming, "BUFFER_BYTES", BUFFER)
    tls = client = None
    if request.param == "tls":
        folder = Folder(tmp_path)
        context = read(folder.write(tls={})).config.tls
        assert context is not None
        tls = ReloadingContext(lambda: context)
        client = ssl.create_default_context(cafile=folder.ca_path)
    app = Starlette()
    running = Server(app, tls)
    with run(running) as port:
        made = Served(port, client, running)
        app.routes.append(Route("/{name}", made.respond))
        yield made


def test_whole_body(served: Served) -> None:
    """A body arrives complete; a response to HEAD has none."""
    assert BODY + b"/a" == served.take("/a")
    assert b"" == served.take("/a", "HEAD")


def test_clients_that_do_not_read(served: Served) -> None:
    """Clients that do not read share the buffer plus a minimal chunk each, and others are served."""
    with ExitStack() as stack:
        silent = [stack.enter_context(served.ask("/a")) for _ in range(READERS)]
        wait_until(lambda: sum(size > 0 for size in served.buffered()) >= READERS)

        # TLS has a second write buffer of the same size.
        assert sum(served.buffered()) <= 2 * (BUFFER + READERS * MIN_CHUNK_BYTES)
        assert [BODY + b"/a"] * 2 == [served.take("/a"), received(silent[0])]
    wait_until(lambda: served.is_idle)


def test_old_bodies(served: Served) -> None:
    """A body too many aborts the connections of the oldest body, and only these."""
    clients = served.streamer._clients
    with ExitStack() as stack:
        silent: list[socket.socket] = []

        def ask(number: int) -> None:
            silent.extend(stack.enter_context(served.ask(f"/{number}")) for _ in range(2))

        for number in range(MAX_BODIES):
            ask(number)
            wait_until(lambda: len(silent) == sum(map(len, clients.values())))
        oldest = next(iter(clients))
        ask(MAX_BODIES)
        wait_until(lambda: oldest not in clients and 2 * MAX_BODIES == sum(map(len, clients.values())))

        assert [True, True, False, False] == [is_cut(connection) for connection in silent[:4]]
        assert BODY + b"/8" == received(silent[-1])
    wait_until(lambda: served.is_idle)
