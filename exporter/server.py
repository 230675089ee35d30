"""The listening socket and the HTTP server on it."""

from __future__ import annotations

import errno
import os
import socket

import uvicorn
from starlette.applications import Starlette

from exporter.errors import ListenError
from exporter.settings import WebSettings

BACKLOG = 512
GRACEFUL_SECONDS = 1
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


def bind(settings: WebSettings) -> socket.socket:
    """Return a socket that listens; `::` means every address of both families, or of IPv4 without IPv6.

    Raises:
        ListenError: With host, port and the system's reason.
    """
    try:
        try:
            return _bind(settings.host, settings.port)
        except OSError as error:
            if settings.host != "::" or error.errno not in NO_IPV6:
                raise
            return _bind("0.0.0.0", settings.port)  # noqa: S104 - every address is what :: asks for
    except OSError as error:
        # Python adds the address to the system's words; a failed look-up of the host has a negative number.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ListenError(
            f"cannot listen on METRICS_HOST={settings.host} METRICS_PORT={settings.port}: {reason}"
        ) from error


def _bind(host: str, port: int) -> socket.socket:
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    # asyncio would make an IPv6 socket serve IPv6 only.
    return socket.create_server(
        (host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=host == "::"
    )


def make_server(app: Starlette) -> uvicorn.Server:
    """Return a server for `app` that ends within seconds when it is told to."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    return uvicorn.Server(config)
