"""A reverse proxy that publishes a server below a path, and strips that path, as many do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from tests.http_server import Asked, Connection, StubServer, answer

PASSED_ON = ("content-type", "location")


@dataclass
class StrippingProxy(StubServer):
    """Publishes `upstream` below `path`."""

    upstream: str
    path: str

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Forward a request, without the path."""
        connection.send(self._respond(asked))
        return False

    def _respond(self, asked: Asked) -> bytes:
        if not asked.target.startswith(f"{self.path}/"):
            return answer(404, connection="close")
        url = self.upstream + asked.target.removeprefix(self.path)
        response = requests.get(url, timeout=10, allow_redirects=False)
        headers = {name: response.headers[name] for name in PASSED_ON if name in response.headers}
        return answer(response.status_code, response.content, connection="close", **headers)


@contextmanager
def stripping_proxy(upstream: str, path: str) -> Iterator[str]:
    """Publish `upstream` below `path`; yield its URL there, with a slash at its end."""
    with StrippingProxy(upstream, path) as proxy:
        yield f"{proxy.url}{path}/"
