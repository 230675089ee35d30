"""Adapter for uvicorn: the HTTP server, and connections with limits on time and size.

It overrides undocumented methods of `uvicorn.Server` and `HttpToolsProtocol`, seen in uvicorn 0.54.0.
tests/web/test_server.py fails first when a later version differs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache, partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.errors import ThreadError
from exporter.system.threads import start
from exporter.web.listeners import BACKLOG, Listener
from exporter.web.wakeup import wake_on_signals

REQUEST_SECONDS = 10.0
"""From the opening of a connection, or the first byte of a later request, to the end of the request."""
RESPONSE_SECONDS = 30.0
"""From the end of a request until the client has read the response; scrapes time out long before."""
MAX_REQUEST_BYTES = 65_536
"""Prometheus sends some hundred bytes, and no route accepts a body."""
MAX_PIPELINED = 16
"""Requests on one connection that wait for the response to an earlier one."""
ABORT = "exporter.abort"
"""ASGI extension: `abort` aborts the connection of a request."""
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
GRACEFUL_SECONDS = 1
EXIT_SECONDS = 4.5
"""The process exits this long after a signal, even if its output blocks or a response is being encoded."""


class Connection(HttpToolsProtocol):
    """A connection with limits on request time, response time and request size; uvicorn has none."""

    _timeout: asyncio.TimerHandle
    _request_bytes = 0
    _has_head = False

    def __init__(self, *args: Any, is_stopping: Callable[[], bool], **options: Any) -> None:
        """Create a connection that closes at once if the server `is_stopping`."""
        super().__init__(*args, **options)
        self._is_stopping = is_stopping

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the request timeout."""
        super().connection_made(transport)
        # `send` returns when the write buffer is empty. With a limit of 0 it never returns over TLS.
        transport.set_write_buffer_limits(high=1)
        self._timeout = self.loop.call_later(REQUEST_SECONDS, transport.abort)
        # uvicorn closes existing connections when it stops, then waits for those accepted meanwhile.
        if self._is_stopping():
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._timeout.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request; close the connection if the request is too large."""
        self._request_bytes += len(data)
        if self._request_bytes > MAX_REQUEST_BYTES:
            # After the headers (an endless body or trailers) the response is already being sent.
            if not self._has_head:
                self.transport.write(TOO_LARGE)
            self.transport.close()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Restart the request timeout."""
        # uvicorn sets the date once a second, even without requests.
        self.server_state.default_headers = _date_header(int(time.time()))
        self._restart_timeout(REQUEST_SECONDS)
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def on_headers_complete(self) -> None:
        """Start the response, or queue the request behind earlier ones."""
        self._has_head = True
        super().on_headers_complete()
        # uvicorn resumes reading after each response, however many requests are queued.
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """Start the response timeout, and reset the size for the next request."""
        self._restart_timeout(RESPONSE_SECONDS)
        self._has_head, self._request_bytes = False, 0
        super().on_message_complete()

    def _restart_timeout(self, seconds: float) -> None:
        self._timeout.cancel()
        self._timeout = self.loop.call_later(seconds, self.transport.abort)


@lru_cache(maxsize=1)
def _date_header(second: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(second, usegmt=True).encode())]


@dataclass(frozen=True, slots=True)
class HealthListener:
    """The application of the health routes, with its own socket and without TLS."""

    app: ASGIApp
    listener: Listener


class Server(uvicorn.Server):
    """An HTTP server that exits within a fixed time after a stop signal."""

    def __init__(
        self,
        app: ASGIApp,
        tls: ssl.SSLContext | None = None,
        health: HealthListener | None = None,
        on_reload: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a server that is not running.

        Args:
            app: Application on the sockets that `run` gets.
            tls: TLS context of those sockets; None for plain HTTP.
            health: Listener for health checks on the same machine.
            on_reload: Called in the event loop after `handle_reload`.
        """
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        super().__init__(_config(app))
        self._tls = tls
        self._health = health
        self._on_reload = on_reload
        self._reload_requested = False

    @property
    def should_exit(self) -> bool:
        """Whether the server has to stop; can be set from any thread and in a signal handler."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value:
            self._call_soon(self._stopped.set)

    def _call_soon(self, callback: Callable[[], object]) -> None:
        """Schedule a callback if the event loop runs; safe in any thread and in a signal handler."""
        if self._loop is not None:
            # The loop may be closed by now.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback)

    async def main_loop(self) -> None:
        """Wait for the stop event; uvicorn's own loop polls for it ten times a second."""
        self._loop = asyncio.get_running_loop()
        with wake_on_signals(self._loop):
            self._reload()
            if not self.should_exit:
                await self._stopped.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; uvicorn supports neither a timeout for TLS handshakes nor a second application."""
        await self.lifespan.startup()
        self.servers = [await self._listen(listener, self.config, self._tls) for listener in sockets or ()]
        if health := self._health:
            self.servers.append(await self._listen(health.listener, _config(health.app), None))
        self.started = True

    async def _listen(
        self, listener: socket.socket, config: uvicorn.Config, tls: ssl.SSLContext | None
    ) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            partial(
                Connection,
                config,
                self.server_state,
                self.lifespan.state,
                is_stopping=lambda: self.should_exit,
            ),
            sock=listener,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=REQUEST_SECONDS if tls else None,
            ssl_shutdown_timeout=RESPONSE_SECONDS if tls else None,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully, and force the exit after a timeout."""
        force_exit_after(EXIT_SECONDS, code=0)
        super().handle_exit(sig, frame)

    def handle_reload(self, sig: int, frame: FrameType | None) -> None:
        """Call `on_reload` as soon as the server runs."""
        self._reload_requested = True
        self._call_soon(self._reload)

    def _reload(self) -> None:
        if self._reload_requested:
            self._reload_requested = False
            self._on_reload()


def force_exit_after(seconds: float, code: int) -> None:
    """Exit with `code` after `seconds` if the process still runs then.

    Does nothing when the system refuses a thread for the timer.
    """
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    with contextlib.suppress(ThreadError):
        start(timer)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        # Other loops accept connections without calling `Listener.accept`.
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
