"""An HTTP proxy on a real socket: forwards and tunnels to one server whatever the name, or refuses."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.http_server import Asked, Connection, StubServer

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class Forwarder(StubServer):
    """A proxy; every name resolves to `server`."""

    server: str
    """Host and port."""
    refusal: bytes | None = None
    """The answer to every request, instead of forwarding it."""

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Forward one request, or tunnel the connection."""
        if self.refusal is not None:
            connection.send(self.refusal)
            return False
        client = connection.sock
        host, port = self.server.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as server:
            if asked.method == "CONNECT":
                connection.send(ESTABLISHED)
                threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            else:
                server.sendall(_forwarded(asked.target, asked.headers))
                server.shutdown(socket.SHUT_WR)
            _copy(server, client)
        return False


def _forwarded(target: str, headers: Mapping[str, str]) -> bytes:
    url = urlsplit(target)
    lines = [f"GET {url.path}{'?' if url.query else ''}{url.query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
