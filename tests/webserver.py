"""The real server with a web configuration file and a small application, on a port of the loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.config.settings import WebSettings
from exporter.web import listeners, server
from exporter.web.routes import HEALTH_PATHS
from exporter.webconfig.authentication import AuthenticationMiddleware
from exporter.webconfig.config import read
from exporter.webconfig.reload import CHECK_SECONDS, WebFile
from exporter.webconfig.tls import ReloadingContext
from tests.certificates import PASSWORD, USER, Folder
from tests.clocks import MovedClock

PATIENCE = 20.0
GOOD = (USER, PASSWORD)
"""For `auth=`."""


@dataclass
class WebServer:
    """A running server, and the requests that reached the application."""

    folder: Folder
    clock: MovedClock
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Paths."""
    changes: list[bool] = field(default_factory=list)
    """Reports of reloads."""

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        """Send a GET on a new connection, over TLS if the file configures it."""
        return self.request("GET", path, **options)

    def request(self, method: str, path: str = "/", **options: Any) -> requests.Response:
        """Send a request on a new connection."""
        scheme = "https" if "tls_server_config" in self.folder.file.read_text() else "http"
        options = {"verify": self.folder.ca_path, "timeout": PATIENCE, **options}
        return requests.request(method, f"{scheme}://localhost:{self.port}{path}", **options)

    def refuses(self, **options: Any) -> bool:
        """Return whether the connection ends before a request reaches the application."""
        before = len(self.asked)
        try:
            self.get(**options)
        except requests.ConnectionError:
            return len(self.asked) == before
        return False

    def check(self) -> None:
        """Move the clock to the next check of the files."""
        self.clock.now += CHECK_SECONDS

    def connect(self) -> socket.socket:
        """Return an open connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def client(self) -> ssl.SSLContext:
        """Return the TLS context of a client that trusts the server."""
        return ssl.create_default_context(cafile=self.folder.ca_path)

    def handshake(self, client: ssl.SSLContext | None = None, **options: Any) -> ssl.SSLSocket:
        """Return an open connection after its TLS handshake."""
        return (client or self.client()).wrap_socket(self.connect(), server_hostname="localhost", **options)

    async def answer(self, request: Request) -> Response:
        """Return a response with headers of its own."""
        self.asked.append(request.url.path)
        return PlainTextResponse(
            "ok", headers={"Content-Security-Policy": "own", "Cache-Control": "no-store"}
        )

    async def fail(self, request: Request) -> Response:
        """Raise an exception."""
        raise ZeroDivisionError


@contextmanager
def run(process: server.Server) -> Iterator[int]:
    """Run a server on a free port, in a thread named `loop`; yield the port."""
    with listeners.bind(WebSettings("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=process.run, args=([listener],), name="loop")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


def read_to_end(connection: socket.socket) -> bytes:
    """Return all data until the server closes or resets the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while part := connection.recv(65_536):
            received += part
    return received


@contextmanager
def serve(folder: Folder, *, protect_health: bool = False, **sections: Any) -> Iterator[WebServer]:
    """Run the server with these sections in the web configuration file."""
    folder.write(**sections)
    running = WebServer(folder, MovedClock())
    reading = read(folder.file)
    assert () == reading.problems
    file = WebFile(reading, running.clock, running.changes.append)
    paths = ("/", "/metrics", *HEALTH_PATHS)
    app = Starlette(routes=[*(Route(path, running.answer) for path in paths), Route("/bug", running.fail)])
    middleware = AuthenticationMiddleware(
        app, file.newest, running.clock, protect_health=protect_health, health_paths=HEALTH_PATHS
    )
    first = reading.config.tls
    tls = ReloadingContext(lambda: file.newest().tls or first) if first else None
    with run(server.Server(middleware, tls)) as running.port:
        yield running
