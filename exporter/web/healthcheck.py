"""Health check of a running exporter, for containers that have no HTTP client."""

from __future__ import annotations

import http.client
import socket

from exporter.config.settings import WebSettings
from exporter.web import healthsocket

PATH = "/-/healthy"
TIMEOUT_SECONDS = 3.0
MAX_BYTES = 64 * 1024
ANY_ADDRESS = frozenset({"::", "0.0.0.0"})  # noqa: S104 - compared, not bound


def probe(settings: WebSettings) -> tuple[bool, str]:
    """Return whether `/-/healthy` returned 200, and the response body or the error.

    Uses the health socket; if that does not exist, plain HTTP on the exporter's port.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(healthsocket.address(settings.host, settings.port))
        except OSError:
            return _probe_tcp(settings)
        if not healthsocket.has_trusted_peer(connection):
            return _probe_tcp(settings)
        try:
            return _get(connection)
        except (OSError, http.client.HTTPException) as error:
            return False, f"no answer on the health socket of port {settings.port}: {_reason(error)}"


def _get(connection: socket.socket, prefix: str = "") -> tuple[bool, str]:
    client = http.client.HTTPConnection("localhost")
    client.sock = connection
    client.request("GET", prefix + PATH)
    response = client.getresponse()
    return response.status == 200, response.read(MAX_BYTES).decode(errors="replace").strip()


def _probe_tcp(settings: WebSettings) -> tuple[bool, str]:
    host = "127.0.0.1" if settings.host in ANY_ADDRESS else settings.host
    try:
        with socket.create_connection((host, settings.port), TIMEOUT_SECONDS) as connection:
            return _get(connection, settings.route_prefix)
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer on port {settings.port}: {_reason(error)}"


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, TimeoutError):
        return f"no response within {TIMEOUT_SECONDS:g} s"
    return (isinstance(error, OSError) and error.strerror) or "the response is not plain HTTP"
