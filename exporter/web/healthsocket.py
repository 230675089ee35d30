"""The health socket: an abstract Unix socket for health checks on the same machine.

It needs no file, password or certificate. It can be reached only from the same network namespace, such as
the same container. Only the health routes are served on it. Linux only.
"""

from __future__ import annotations

import os
import socket
import struct

from exporter import SERVICE_NAME

BACKLOG = 16


def address(host: str, port: int) -> str:
    """Return the socket's name for an exporter that listens on this host and port."""
    return f"\0{SERVICE_NAME}:{host}:{port}"


def has_trusted_peer(connection: socket.socket) -> bool:
    """Return whether the listening process runs as our user or root; any user can bind the name."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (os.getuid(), 0)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: When the name is taken, or the system has no abstract sockets.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address(host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
