"""The real server behind a web configuration file, with a small application, on a port of the loopback."""

from __future__ import annotations

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
from exporter.web import server
from exporter.web.routes import HEALTH_PATHS
from exporter.webconfig.authentication import Access
from exporter.webconfig.config import read
from exporter.webconfig.reload import CHECK_SECONDS, WebFile
from exporter.webconfig.tls import NewestContext
from tests.certificates import PASSWORD, USER, Folder
from tests.clocks import MovedClock

PATIENCE = 20.0


@dataclass
class House:
    """What stands behind the doors, and who came in."""

    folder: Folder
    clock: MovedClock
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Paths of the requests that the application saw."""
    told: list[bool] = field(default_factory=list)
    """One for each changed content that could not be used."""

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        """Send a GET over TLS where the server has it, on a connection of its own."""
        return self.request("GET", path, **options)

    def request(self, method: str, path: str = "/", **options: Any) -> requests.Response:
        """Send a request, on a connection of its own."""
        scheme = "https" if "tls_server_config" in self.folder.file.read_text() else "http"
        options = {"verify": self.folder.ca_path, "timeout": PATIENCE, **options}
        return requests.request(method, f"{scheme}://localhost:{self.port}{path}", **options)

    def refuses(self, **options: Any) -> bool:
        """Tell whether the connection ends without an answer, and without the application being asked."""
        before = len(self.asked)
        try:
            self.get(**options)
        except requests.ConnectionError:
            return len(self.asked) == before
        return False

    def look(self) -> None:
        """Let the time of the next look at the files come."""
        self.clock.now += CHECK_SECONDS

    def connect(self) -> socket.socket:
        """Return an open connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def handshake(self) -> ssl.SSLSocket:
        """Return an open connection after its TLS handshake."""
        context = ssl.create_default_context(cafile=self.folder.ca_path)
        return context.wrap_socket(self.connect(), server_hostname="localhost")

    async def answer(self, request: Request) -> Response:
        """Answer with a policy of its own."""
        self.asked.append(request.url.path)
        return PlainTextResponse(
            "ok", headers={"Content-Security-Policy": "own", "Cache-Control": "no-store"}
        )

    async def fail(self, request: Request) -> Response:
        """Have a bug."""
        raise ZeroDivisionError


@contextmanager
def house(folder: Folder, *, protect_health: bool = False) -> Iterator[House]:
    """Open the doors of a folder's web configuration file."""
    inside = House(folder, MovedClock())
    reading = read(folder.file)
    assert () == reading.problems
    in_force = WebFile(reading, inside.clock, inside.told.append)
    paths = ("/", "/metrics", *HEALTH_PATHS)
    app = Starlette(routes=[*(Route(path, inside.answer) for path in paths), Route("/bug", inside.fail)])
    access = Access(
        app, in_force.newest, inside.clock, protect_health=protect_health, health_paths=HEALTH_PATHS
    )
    first = reading.config.tls
    tls = NewestContext(lambda: in_force.newest().tls or first) if first else None
    running = server.Server(access, tls)
    listener = server.bind(WebSettings("127.0.0.1", 0))
    inside.port = listener.getsockname()[1]
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    try:
        yield inside
    finally:
        running.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


GOOD = (USER, PASSWORD)
"""For `auth=`."""
