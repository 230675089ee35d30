"""A gateway on a real socket that replays recorded responses byte for byte."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.http_server import Asked as Asked
from tests.http_server import Connection, StubServer
from tests.http_server import answer as answer

KEY = "test-admin-key"
RECORDED = Path(__file__).parent / "recorded"

LIST = "/providers/?include_inactive=true"
LIST_NO_SLASH = "/providers?include_inactive=true"
STATS = "/providers/stats"

HEALTH_CHECK = re.compile(rb'("last_health_check_at":")\d[^"]{26}(?=")')

GOOD: Mapping[str, str] = {
    LIST_NO_SLASH: "01-list-no-slash.http",
    LIST: "04-list-include-inactive.http",
    STATS: "07-stats.http",
}


def recording(name: str) -> bytes:
    """Return a recorded response with its headers."""
    return (RECORDED / name).read_bytes()


def checked_now(response: bytes) -> bytes:
    """Return a recorded list with the present time as that of each health check; its length is the same."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return HEALTH_CHECK.sub(rb"\g<1>" + now.encode(), response)


def recorded_body(name: str) -> bytes:
    """Return the body of a recorded response."""
    return recording(name).split(b"\r\n\r\n", 1)[1]


@dataclass
class ReplayGateway(StubServer):
    """Responds with raw bytes by target; closes the connection for unknown targets.

    `answers` can be changed while the gateway runs. With `silent` it never responds; with `closing` it closes
    the connection after each response.
    """

    answers: dict[str, bytes] = field(default_factory=lambda: {k: recording(v) for k, v in GOOD.items()})
    silent: bool = False
    closing: bool = False
    on_ask: Callable[[Asked], object] = bool
    """Called with each request before the response."""
    reached: threading.Event = field(default_factory=threading.Event)

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment of an exporter that polls this gateway and listens on a free port."""
        listen = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
        return {"GATEWAY_API_URL": self.url, "ADMIN_KEY": KEY, **listen, **more}

    def check_health(self) -> None:
        """Respond with health checks that were just made, as of a gateway that is well."""
        self.answers[LIST] = checked_now(self.answers[LIST])

    def replay(self, target: str, name: str) -> None:
        """Respond to `target` with a recording."""
        self.answers[target] = recording(name)

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Send the bytes for the target."""
        self.reached.set()
        self.on_ask(asked)
        if self.silent:
            connection.wait()
            return False
        data = self.answers.get(asked.target)
        if data is not None:
            connection.send(data)
        return data is not None and not self.closing
