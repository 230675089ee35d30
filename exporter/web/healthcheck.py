"""Health check of a running exporter, for containers that have no HTTP client.

It runs twice a minute, so it imports sockets only.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping

from exporter.web import healthsocket

PATH = "/-/healthy"
TIMEOUT_SECONDS = 3.0
MAX_BYTES = 64 * 1024
DEFAULT_HOST, DEFAULT_PORT = "::", 8001
ANY_ADDRESS = frozenset({"::", "0.0.0.0"})  # noqa: S104 - compared, not bound


def main(environ: Mapping[str, str]) -> int | None:
    """Check the exporter on the default address, print the result and return the exit code.

    Returns None if a variable sets an address: `exporter.config.settings` reads it, which takes longer.
    """
    if environ.get("METRICS_HOST") or environ.get("METRICS_PORT"):
        return None
    healthy, text = probe(DEFAULT_HOST, DEFAULT_PORT)
    print(text, file=sys.stdout if healthy else sys.stderr)
    return 0 if healthy else 1


def probe(host: str, port: int, prefix: str = "") -> tuple[bool, str]:
    """Return whether `/-/healthy` returned 200, and the response body or the error.

    Uses the health socket; if that does not exist, plain HTTP on the exporter's port below `prefix`.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(healthsocket.address(host, port))
        except OSError:
            return _probe_tcp(host, port, prefix)
        if not healthsocket.has_trusted_peer(connection):
            return _probe_tcp(host, port, prefix)
        try:
            return _get(connection, "")
        except OSError as error:
            return False, f"no answer on the health socket of port {port}: {_reason(error)}"


def _probe_tcp(host: str, port: int, prefix: str) -> tuple[bool, str]:
    try:
        address = ("127.0.0.1" if host in ANY_ADDRESS else host, port)
        with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
            return _get(connection, prefix)
    except OSError as error:
        return False, f"no answer on port {port}: {_reason(error)}"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no response within {TIMEOUT_SECONDS:g} s"
    return error.strerror or "the response is not plain HTTP"


def _get(connection: socket.socket, prefix: str) -> tuple[bool, str]:
    """Send a request, and return whether the status is 200, and the body.

    Raises:
        OSError: Without a complete response in time.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    connection.sendall(f"GET {prefix}{PATH} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    response = b""
    while not _is_complete(response) and (chunk := connection.recv(MAX_BYTES)):
        response += chunk
        # Zero would make the socket non-blocking.
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
    head, separator, body = response.partition(b"\r\n\r\n")
    if not separator or not head.startswith(b"HTTP/"):
        raise ConnectionError
    return head.split()[1:2] == [b"200"], body.decode(errors="replace").strip()


def _is_complete(response: bytes) -> bool:
    """Return whether the body has its announced length; without one it ends with the connection."""
    head, _, body = response.partition(b"\r\n\r\n")
    length = head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0].strip()
    return len(response) >= MAX_BYTES or (length.isdigit() and len(body) >= int(length))
