"""The HTTP server of all stubs: real sockets, and responses byte for byte."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 30.0
BACKLOG = 128


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return a response; underscores in names of headers become hyphens."""
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BAD_REQUEST = answer(400)


PORTS = range(15_000, 31_000)
"""Not among those that the system gives to connections: one of these could be in use a moment later."""
PROCESSES = 8
"""Processes of the tests with ports of their own."""


def own_ports() -> Iterator[int]:
    """Yield the ports of this process, again and again, from one at random on."""
    share = len(PORTS) // PROCESSES
    first = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES * share
    ports = PORTS[first : first + share]
    start = random.randrange(share)
    return cycle([*ports[start:], *ports[:start]])


OWN_PORTS = own_ports()


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = next(OWN_PORTS)
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port


@dataclass(frozen=True)
class Asked:
    """A received request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path of the target, without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The parsed query of the target."""
        return parse_qs(urlsplit(self.target).query)

    @property
    def authorization(self) -> str | None:
        """The header `Authorization`."""
        return self.headers.get("Authorization")

    @property
    def content(self) -> Any:
        """The body parsed as JSON; None without a body."""
        return json.loads(self.body) if self.body else None


class Connection:
    """A connection of a client."""

    def __init__(self, sock: socket.socket, stopped: threading.Event) -> None:
        """Serve `sock` until `stopped` is set."""
        self.sock = sock
        self._stopped = stopped
        self.is_reset = False

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self.sock.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait; return True as soon as the server stops."""
        return self._stopped.wait(seconds)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.is_reset = True


@dataclass(kw_only=True)
class StubServer:
    """A server on the loopback that records requests; port 0 selects a free port.

    Subclasses define `reply`.
    """

    port: int = 0
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when a connection has ended."""

    def __enter__(self) -> Self:
        """Listen."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the listener and all connections."""
        self.stop()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The root."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    @property
    def targets(self) -> list[str]:
        """The requested targets in order."""
        return [asked.target for asked in self.asked]

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer a request; return whether the connection stays open."""
        raise NotImplementedError

    def converse(self, connection: Connection) -> None:
        """Answer all requests of a connection."""
        with connection.sock.makefile("rb") as stream:
            while (asked := _read(stream, connection)) is not None:
                self.asked.append(asked)
                if not self.reply(asked, connection):
                    return

    def start(self, backlog: int = BACKLOG) -> None:
        """Accept connections in a thread."""
        self._stopped = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, self.port), backlog=backlog)
        self.port = self._listener.getsockname()[1]
        self._accepter = threading.Thread(target=self._accept, args=(self._stopped,), daemon=True)
        self._accepter.start()

    def stop(self) -> None:
        """Close the listener and all connections; without effect on a stopped server."""
        self._stopped.set()
        # Wakes the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepter.join(TIMEOUT_SECONDS)
        self._listener.close()
        for sock in tuple(self._connections):
            with contextlib.suppress(OSError):
                # Not the method of an SSLSocket, which would remove its TLS.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _accept(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self._connections.add(sock)
            threading.Thread(target=self._serve, args=(sock, stopped), daemon=True).start()

    def _serve(self, sock: socket.socket, stopped: threading.Event) -> None:
        connection = Connection(sock, stopped)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            self.converse(connection)
        if not connection.is_reset:
            _close_in_order(sock)
        self._connections.discard(sock)
        sock.close()
        self.closed.set()


def _read(stream: IO[bytes], connection: Connection) -> Asked | None:
    """Return the next request; None at the end of the connection."""
    first = stream.read(1)
    if not first.isalpha():
        # A TLS handshake: it may contain no end of a line.
        connection.send(BAD_REQUEST if first else b"")
        return None
    line = (first + stream.readline()).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = http.client.parse_headers(stream)
    body = stream.read(int(headers.get("Content-Length", 0)))
    return Asked(line[0], line[1], dict(headers.items()), body)


def _close_in_order(sock: socket.socket) -> None:
    """Close without a reset, which the system sends when received bytes were not read."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65_536):
            pass
