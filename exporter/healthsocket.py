"""Where a healthcheck on the same machine asks: a socket that needs no file, no password and no certificate.

It is an abstract Unix socket of Linux: reached only from the same network namespace, as that of a container.
Only the health routes answer there.
"""

from __future__ import annotations

import socket

from exporter import SERVICE_NAME

BACKLOG = 16


def address(port: int) -> str:
    """Return the name of the socket of an exporter whose metrics are on `port`."""
    return f"\0{SERVICE_NAME}:{port}"


def bind(port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: When the name is taken, or the system has no such sockets.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address(port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
