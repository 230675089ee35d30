"""Adapter to urllib3: connections that `Connector` opens and another thread can abort.

Not documented are names with an underscore, `pool_classes_by_scheme` and the arguments of exceptions. Seen in
urllib3 2.8.0. tests/transport/test_session.py fails first when a later version differs.
"""

from __future__ import annotations

import contextlib
import http.client
import socket

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from exporter.transport.connecting import Connector
from exporter.transport.failures import NO_ANSWER


class ActiveConnection:
    """The last opened connection of a session, which one request uses at a time.

    A socket timeout does not limit a request: it restarts with each byte.
    """

    def __init__(self) -> None:
        """Start without a connection."""
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._connector: Connector | None = None
        self.is_aborted = False

    @property
    def timeout_detail(self) -> str:
        """Detail of a timeout at this moment."""
        return self._connector.timeout_detail if self._connector else NO_ANSWER

    def reset(self) -> None:
        """Start a new request."""
        self.is_aborted, self._connector = False, None

    def abort(self) -> None:
        """Shut the socket down; may be called from any thread, which must not use the TLS layer."""
        self.is_aborted = True
        # A connection that closes after its response releases its socket when it has read the headers.
        in_use = self._connection.sock if self._connection else None
        for sock in (in_use, self._socket):
            if sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def start(self, connection: HTTPConnection, connector: Connector) -> None:
        """Record that a connection is being opened."""
        self._connection, self._connector = connection, connector

    def finish(self, sock: socket.socket) -> None:
        """Record that the connection is open."""
        self._socket, self._connector = sock, None
        if self.is_aborted:
            self.abort()


def watch(manager: urllib3.PoolManager, active: ActiveConnection) -> urllib3.PoolManager:
    """Return the manager, whose connections report to `active`."""
    manager.pool_classes_by_scheme = {
        "http": _watched(HTTPConnectionPool, active),
        "https": _watched(HTTPSConnectionPool, active),
    }
    return manager


def _watched(pool: type[HTTPConnectionPool], active: ActiveConnection) -> type[HTTPConnectionPool]:
    class Connection(pool.ConnectionCls):  # type: ignore[name-defined,misc]
        def connect(self) -> None:
            self._connector = Connector(self._dns_host, self.port, self._prepare, lambda: active.is_aborted)
            active.start(self, self._connector)
            super().connect()
            active.finish(self.sock)

        def _tunnel(self) -> None:
            try:
                super()._tunnel()
            except (OSError, http.client.HTTPException) as error:
                # urllib3 itself raises ProxyError only if the connection to the proxy fails.
                raise urllib3.exceptions.ProxyError("CONNECT failed", error) from error

        def _new_conn(self) -> socket.socket:
            # urllib3's own method gives the whole timeout to the first address.
            try:
                sock = self._connector.connect(self.timeout)
            except socket.gaierror as error:
                raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise urllib3.exceptions.ConnectTimeoutError(self, str(error)) from error
            except OSError as error:
                raise urllib3.exceptions.NewConnectionError(self, str(error)) from error
            sock.settimeout(self.timeout)
            return sock

        def _prepare(self, sock: socket.socket) -> None:
            for option in self.socket_options or ():
                sock.setsockopt(*option)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})
