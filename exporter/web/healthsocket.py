"""Where a healthcheck on the same machine asks: a socket that needs no file, no password and no certificate.

It is an abstract Unix socket of Linux: reached only from the same network namespace, as that of a container.
Only the health routes answer there.
"""

from __future__ import annotations

import os
import socket
import struct

from exporter import SERVICE_NAME

BACKLOG = 16


def address(host: str, port: int) -> str:
    """Return the name of the socket of an exporter with this METRICS_HOST and this port."""
    return f"\0{SERVICE_NAME}:{host}:{port}"


def is_ours(connection: socket.socket) -> bool:
    """Tell whether who listens has our user, or root: anybody could have taken the name."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (os.getuid(), 0)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: When the name is taken, or the system has no such sockets.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address(host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
