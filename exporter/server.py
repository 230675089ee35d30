"""The listening socket and the HTTP server on it."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from exporter.connections import Connection
from exporter.errors import ListenError
from exporter.settings import WebSettings

BACKLOG = 512
GRACEFUL_SECONDS = 1
LAST_RESORT_SECONDS = 4.5
"""After a signal the process ends by then, be its output blocked or a body still being encoded."""


def bind(settings: WebSettings) -> socket.socket:
    """Return a socket that listens; `::` means every address of both families, or of IPv4 without IPv6.

    Raises:
        ListenError: With host, port and the system's reason.
    """
    try:
        if settings.host == "::":
            return _bind_everywhere(settings.port)
        return _bind(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"cannot listen on METRICS_HOST={settings.host} METRICS_PORT={settings.port}: {_reason(error)}"
        ) from error


def _reason(error: OSError | UnicodeError) -> str | None:
    if isinstance(error, UnicodeError):
        return "not a host name"
    # Python adds the address to the system's words; a failed look-up of the host has a negative number.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror


def _bind_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return _bind("::", port)
        except OSError as error:
            # IPv6 is there, but switched off.
            if error.errno != errno.EADDRNOTAVAIL:
                raise
    return _bind("0.0.0.0", port)  # noqa: S104 - every address is what :: asks for


def _bind(host: str, port: int) -> socket.socket:
    # A socket raises a TypeError, and leaks, where this cannot be done.
    host.encode("idna")
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    # asyncio would make an IPv6 socket serve IPv6 only.
    return socket.create_server(
        (host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=host == "::"
    )


def allow_many_connections() -> None:
    """Raise the soft limit of open descriptors to the hard one: each connection of a stranger takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server(uvicorn.Server):
    """A server whose end, once it is asked for, is certain."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, and see to it that it does not take too long."""
        end_within(LAST_RESORT_SECONDS, code=0)
        super().handle_exit(sig, frame)


def end_within(seconds: float, code: int) -> None:
    """End the process with `code` when it has not ended by itself within `seconds`."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()


def make_server(app: Starlette) -> Server:
    """Return a server for `app` that ends within seconds when it is told to."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    return Server(config)
