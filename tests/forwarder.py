"""An HTTP proxy on a real socket: forwards and tunnels to one server whatever the name, or refuses."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from tests.replay import Asked

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class Forwarder:
    """A proxy; every name resolves to `server`."""

    server: str
    """Host and port."""
    refusal: bytes | None = None
    """The answer to every request, instead of forwarding it."""
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Listen on a free port of the loopback."""
        self._listener = _Listener(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Close."""
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def address(self) -> str:
        """Host and port of the proxy."""
        host, port = self._listener.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def targets(self) -> list[str]:
        """The targets of the requests, in order."""
        return [asked.target for asked in self.asked]

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        forwarder = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    forwarder._answer(self.rfile, self.connection)

        return Handler

    def _answer(self, request: io.BufferedIOBase, client: socket.socket) -> None:
        first = request.read(1)
        if not first.isalpha():
            # A TLS handshake, in which there may be no end of a line to wait for.
            client.sendall(BAD_REQUEST if first else b"")
            return
        method, target, _ = (first + request.readline()).decode("latin-1").split()
        headers = dict(http.client.parse_headers(request).items())
        self.asked.append(Asked(target, headers))
        if self.refusal is not None:
            client.sendall(self.refusal)
            return
        host, port = self.server.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as server:
            if method == "CONNECT":
                client.sendall(ESTABLISHED)
                threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            else:
                server.sendall(_forwarded(target, headers))
                server.shutdown(socket.SHUT_WR)
            _copy(server, client)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True


def _forwarded(target: str, headers: dict[str, str]) -> bytes:
    url = urlsplit(target)
    lines = [f"GET {url.path}{'?' if url.query else ''}{url.query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
