"""Listening sockets: bind addresses and limit the connections of the process."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.config.flags import LISTEN_ADDRESS
from exporter.config.settings import WebSettings
from exporter.config.values import address
from exporter.errors import ListenError

LOGGER = logging.getLogger(__name__)

BACKLOG = 512
MAX_DESCRIPTORS = 2048
"""Connections with a higher descriptor are closed; each can take 64 KiB of memory for its request."""
RESERVED_DESCRIPTORS = 32
"""Descriptors below the system's limit that are reserved for polls and telemetry."""
WARNING_SECONDS = 60.0
TOO_MANY_HINT = "A client keeps many connections open: find out who is connected to the port, and block it."


class Listener(socket.socket):
    """A listening socket that leaves descriptors for polls.

    Without it, asyncio accepts until the process has no descriptor left, then logs an error on each attempt.
    """

    _last_warning = -WARNING_SECONDS

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; close those above the limit."""
        while True:
            connection, address = super().accept()
            # The kernel assigns the lowest free number, so the number counts the open descriptors.
            if connection.fileno() < descriptor_limit():
                return connection, address
            connection.close()
            self._warn()

    def _warn(self) -> None:
        """Log a warning, at most once a minute."""
        if time.monotonic() - self._last_warning >= WARNING_SECONDS:
            self._last_warning = time.monotonic()
            LOGGER.warning("Too many connections", extra={"limit": descriptor_limit(), "hint": TOO_MANY_HINT})


def descriptor_limit() -> int:
    """Return the first descriptor that no connection may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_DESCRIPTORS, soft - RESERVED_DESCRIPTORS)


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open descriptors, because each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS + RESERVED_DESCRIPTORS
    if resource.RLIM_INFINITY != soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def bind(settings: WebSettings) -> Listener:
    """Return a listening socket; `::` means all addresses of IPv4 and IPv6, or of IPv4 if IPv6 is off.

    Raises:
        ListenError: With host, port and the system's reason.
    """
    try:
        if settings.host == "::":
            return Listener(fileno=_bind_all_interfaces(settings.port).detach())
        return Listener(fileno=_bind(settings.host, settings.port).detach())
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"cannot listen on {address(settings.host, settings.port)} (METRICS_HOST and METRICS_PORT, or "
            f"{LISTEN_ADDRESS}): {_reason(error)}"
        ) from error


def bind_all(settings: WebSettings) -> Sequence[Listener]:
    """Return a listening socket for each address, the main one first.

    Raises:
        ListenError: With the first address that cannot be bound.
    """
    further = (replace(settings, host=host, port=port) for host, port in settings.further)
    return [bind(each) for each in (settings, *further)]


def _reason(error: OSError | UnicodeError) -> str | None:
    if isinstance(error, UnicodeError):
        return "not a host name"
    # `strerror` of a socket error repeats the address. Errors of name resolution have negative numbers.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror


def _bind_all_interfaces(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return _bind("::", port)
        except OSError as error:
            # The kernel supports IPv6, but it is disabled.
            if error.errno != errno.EADDRNOTAVAIL:
                raise
    return _bind("0.0.0.0", port)  # noqa: S104 - `::` asks for all interfaces


def _bind(host: str, port: int) -> socket.socket:
    # `create_server` raises a TypeError and leaks its socket if the host cannot be encoded.
    host.encode("idna")
    if ":" not in host:
        return socket.create_server((host, port), backlog=BACKLOG)
    # asyncio would make an IPv6 socket serve IPv6 only.
    return socket.create_server(
        (host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=host == "::"
    )
