"""A body arrives whole, however slowly it is read, and what waits for slow readers is bounded."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from exporter.config.settings import WebSettings
from exporter.web import answers, server
from exporter.web.answers import MAX_BODIES, SMALLEST_PIECE, Answers, SharedBody
from exporter.webconfig.config import read
from exporter.webconfig.tls import ReloadingContext
from tests.certificates import Folder
from tests.faults.outside import wait_until

PATIENCE = 20.0
BODY = bytes(range(256)) * 40_000
"""More than the buffers of the system hold."""
BUFFER = 1024 * 1024
"""Of all readers together."""
READERS = 12


@dataclass
class Served:
    """A server whose every path is a body of its own."""

    port: int
    client: ssl.SSLContext | None
    running: server.Server
    answers: Answers = field(default_factory=Answers)
    bodies: dict[str, bytes] = field(default_factory=dict)

    async def answer(self, request: Request) -> SharedBody:
        """Answer with the path's body."""
        path = request.url.path
        return SharedBody(self.answers, self.bodies.setdefault(path, BODY + path.encode()), "text/plain")

    def ask(self, path: str, method: str = "GET") -> socket.socket:
        """Send a request, and read nothing."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", self.port))
        if self.client:
            connection = self.client.wrap_socket(connection, server_hostname="localhost")
        connection.sendall(f"{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n".encode())
        return connection

    def take(self, path: str, method: str = "GET") -> bytes:
        """Ask, and return the body."""
        with self.ask(path, method) as connection:
            return received(connection)

    def buffered(self) -> int:
        """Return the bytes that wait for readers, in all transports."""
        return sum(map(waiting, self.transports()))

    def transports(self) -> list[object]:
        """Return all transports, those below TLS, too."""
        own = [connection.transport for connection in list(self.running.server_state.connections)]
        below = [
            transport._ssl_protocol._transport for transport in own if hasattr(transport, "_ssl_protocol")
        ]
        return [*own, *below]


def waiting(transport: object) -> int:
    """Return the bytes that wait in a transport."""
    assert hasattr(transport, "get_write_buffer_size")
    return int(transport.get_write_buffer_size())


def received(connection: socket.socket) -> bytes:
    """Return the body that comes until the connection ends."""
    parts = iter(lambda: connection.recv(1_000_000), b"")
    return b"".join(parts).partition(b"\r\n\r\n")[2]


def is_cut(connection: socket.socket) -> bool:
    """Tell whether a connection ends before the body does."""
    try:
        return len(received(connection)) < len(BODY)
    except (ConnectionResetError, ssl.SSLEOFError):
        return True


@pytest.fixture(params=["plain", "tls"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """The real server, with small buffers."""
    monkeypatch.setattr(answers, "BUFFER_BYTES", BUFFER)
    tls = client = None
    if request.param == "tls":
        folder = Folder(tmp_path)
        context = read(folder.write(tls={})).config.tls
        assert context is not None
        tls = ReloadingContext(lambda: context)
        client = ssl.create_default_context(cafile=folder.ca_path)
    listener = server.bind(WebSettings("127.0.0.1", 0))
    app = Starlette()
    running = server.Server(app, tls)
    made = Served(listener.getsockname()[1], client, running)
    app.routes.append(Route("/{name}", made.answer))
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    yield made
    running.should_exit = True
    thread.join(PATIENCE)
    assert not thread.is_alive()
    listener.close()


def test_whole_body(served: Served) -> None:
    """What is sent in many pieces is the body, and HEAD has none."""
    assert BODY + b"/a" == served.take("/a")
    assert b"" == served.take("/a", "HEAD")


def test_silent_readers(served: Served) -> None:
    """All readers together hold no more than the buffer and a small piece each, and others are answered."""
    with ExitStack() as stack:
        silent = [stack.enter_context(served.ask("/a")) for _ in range(READERS)]
        wait_until(lambda: sum(waiting(transport) > 0 for transport in served.transports()) >= READERS)

        # Below TLS as much again may wait.
        assert served.buffered() <= 2 * (BUFFER + READERS * SMALLEST_PIECE)
        assert BODY + b"/a" == served.take("/a")
        assert BODY + b"/a" == received(silent[0])
    wait_until(lambda: not served.answers._readers and not served.answers._buffered)


def test_old_bodies(served: Served) -> None:
    """When too many bodies are on their way, the readers of the oldest are cut off, and only they."""
    readers = served.answers._readers
    with ExitStack() as stack:
        silent: list[socket.socket] = []

        def ask(number: int) -> None:
            silent.extend(stack.enter_context(served.ask(f"/{number}")) for _ in range(2))

        for number in range(MAX_BODIES):
            ask(number)
            wait_until(lambda: len(silent) == sum(map(len, readers.values())))
        oldest = next(iter(readers))
        ask(MAX_BODIES)
        wait_until(lambda: oldest not in readers and 2 * MAX_BODIES == sum(map(len, readers.values())))

        assert [True, True, False, False] == [is_cut(connection) for connection in silent[:4]]
        assert BODY + b"/8" == received(silent[-1])
    wait_until(lambda: not served.answers._readers and not served.answers._buffered)
