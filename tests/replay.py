"""A gateway on a real socket that replays recorded responses byte for byte."""

from __future__ import annotations

import http.client
import io
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

RECORDED = Path(__file__).parent / "recorded"

LIST = "/providers/?include_inactive=true"
LIST_NO_SLASH = "/providers?include_inactive=true"
STATS = "/providers/stats"

GOOD: Mapping[str, str] = {
    LIST_NO_SLASH: "01-list-no-slash.http",
    LIST: "04-list-include-inactive.http",
    STATS: "07-stats.http",
}


def recording(name: str) -> bytes:
    """Return a recorded response with its headers."""
    return (RECORDED / name).read_bytes()


def recorded_body(name: str) -> bytes:
    """Return the body of a recorded response."""
    return recording(name).split(b"\r\n\r\n", 1)[1]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return a synthetic response, for behaviour that cannot be recorded."""
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Asked:
    """A received request."""

    target: str
    headers: Mapping[str, str]


@dataclass
class ReplayGateway:
    """Responds with raw bytes by target; closes the connection for unknown targets.

    `answers` can be changed while the gateway runs. With `silent` it never responds; with `closing` it closes
    the connection after each response.
    """

    answers: dict[str, bytes] = field(default_factory=lambda: {k: recording(v) for k, v in GOOD.items()})
    asked: list[Asked] = field(default_factory=list)
    silent: bool = False
    closing: bool = False
    on_ask: Callable[[Asked], object] = bool
    """Called with each request before the response."""
    reached: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Listen on a free port of the loopback."""
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release waiting handlers, and close."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The value for GATEWAY_API_URL."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def targets(self) -> list[str]:
        """The requested targets in order."""
        return [asked.target for asked in self.asked]

    def replay(self, target: str, name: str) -> None:
        """Respond to `target` with a recording."""
        self.answers[target] = recording(name)

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        gateway = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while gateway._answer_one(self.rfile, self.wfile):
                    pass

        return Handler

    def _answer_one(self, request: io.BufferedIOBase, reply: io.BufferedIOBase) -> bool:
        line = request.readline().decode("latin-1").split()
        if len(line) != 3:
            return False
        self.asked.append(Asked(line[1], dict(http.client.parse_headers(request).items())))
        self.reached.set()
        self.on_ask(self.asked[-1])
        if self.silent:
            self._released.wait()
            return False
        body = self.answers.get(line[1])
        if body is None:
            return False
        reply.write(body)
        return not self.closing


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors: tests cut connections on purpose."""
