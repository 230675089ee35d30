"""The listening socket and the HTTP server on it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from exporter.config.flags import LISTEN_ADDRESS
from exporter.config.settings import WebSettings
from exporter.config.values import address
from exporter.errors import ListenError, ThreadError
from exporter.system.threads import start
from exporter.web.connections import ANSWER_SECONDS, REQUEST_SECONDS, Connection

LOGGER = logging.getLogger(__name__)

BACKLOG = 512
MAX_DESCRIPTORS = 2048
"""Beyond these, connections are refused; each can take 64 KiB of memory for its request."""
RESERVED_DESCRIPTORS = 32
"""Of those that the system allows, these are for polls and telemetry."""
TOLD_SECONDS = 60.0
TOO_MANY_HINT = (
    "Somebody opens connections and keeps them: see who is connected to the port, and keep them out."
)
GRACEFUL_SECONDS = 1
LAST_RESORT_SECONDS = 4.5
"""After a signal the process ends by then, be its output blocked or a body still being encoded."""


class Listener(socket.socket):
    """A listening socket that never uses up the descriptors of the process.

    asyncio would go on accepting until none is left for a poll, and then log without end.
    """

    _told = -TOLD_SECONDS

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; those beyond the limit are closed."""
        while True:
            connection, address = super().accept()
            # The system gives out the lowest number that is free.
            if connection.fileno() < descriptor_limit():
                return connection, address
            connection.close()
            self._tell()

    def _tell(self) -> None:
        """Say it once a minute at most."""
        if time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            LOGGER.warning("Too many connections", extra={"limit": descriptor_limit(), "hint": TOO_MANY_HINT})


def descriptor_limit() -> int:
    """Return from which number on a descriptor is not given to a connection."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_DESCRIPTORS, allowed - RESERVED_DESCRIPTORS)


def bind(settings: WebSettings) -> Listener:
    """Return a socket that listens; `::` means every address of both families, or of IPv4 without IPv6.

    Raises:
        ListenError: With host, port and the system's reason.
    """
    try:
        if settings.host == "::":
            return Listener(fileno=_bind_everywhere(settings.port).detach())
        return Listener(fileno=_bind(settings.host, settings.port).detach())
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"cannot listen on {address(settings.host, settings.port)} (METRICS_HOST and METRICS_PORT, or "
            f"{LISTEN_ADDRESS}): {_reason(error)}"
        ) from error


def bind_all(settings: WebSettings) -> Sequence[Listener]:
    """Return a socket for each address, that of `bind` first.

    Raises:
        ListenError: With the first address that cannot be bound.
    """
    further = (replace(settings, host=host, port=port) for host, port in settings.further)
    return [bind(each) for each in (settings, *further)]


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
    """Raise the soft limit of open descriptors as far as it is of use: each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS + RESERVED_DESCRIPTORS
    if resource.RLIM_INFINITY != soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@dataclass(frozen=True, slots=True)
class SideDoor:
    """A second application, on a socket of its own, without TLS."""

    app: ASGIApp
    listener: Listener


class Server(uvicorn.Server):
    """A server whose end, once it is asked for, is certain."""

    def __init__(
        self,
        app: ASGIApp,
        tls: ssl.SSLContext | None = None,
        side_door: SideDoor | None = None,
        on_reload: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to serve.

        Args:
            app: Answers on the sockets that the server is run with.
            tls: Of those sockets; None: plain HTTP.
            side_door: What else it serves.
            on_reload: Called in the event loop after `handle_reload`.
        """
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        super().__init__(_config(app))
        self._tls = tls
        self._side_door = side_door
        self._on_reload = on_reload
        self._reload_requested = False

    @property
    def should_exit(self) -> bool:
        """Whether it was asked to end; may be set from any thread and in a signal handler."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value:
            self._call_soon(self._end.set)

    def _call_soon(self, callback: Callable[[], object]) -> None:
        """Call it in the event loop, if that runs; safe in any thread and in a signal handler."""
        if self._loop is not None:
            # The loop may have ended meanwhile.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback)

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own way wakes ten times a second to look for it."""
        self._loop = asyncio.get_running_loop()
        self._reload()
        if not self.should_exit:
            await self._end.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; uvicorn's own way has no time limit for a TLS handshake, and one application."""
        await self.lifespan.startup()
        self.servers = [await self._listen(listener, self.config, self._tls) for listener in sockets or ()]
        if door := self._side_door:
            self.servers.append(await self._listen(door.listener, _config(door.app), None))
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
                is_ending=lambda: self.should_exit,
            ),
            sock=listener,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=REQUEST_SECONDS if tls else None,
            ssl_shutdown_timeout=ANSWER_SECONDS if tls else None,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, and see to it that it does not take too long."""
        end_within(LAST_RESORT_SECONDS, code=0)
        super().handle_exit(sig, frame)

    def handle_reload(self, sig: int, frame: FrameType | None) -> None:
        """Have `on_reload` called, as soon as the server runs."""
        self._reload_requested = True
        self._call_soon(self._reload)

    def _reload(self) -> None:
        if self._reload_requested:
            self._reload_requested = False
            self._on_reload()


def end_within(seconds: float, code: int) -> None:
    """End the process with `code` when it has not ended by itself within `seconds`.

    Where the system refuses the thread for that, it has to end by itself.
    """
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    with contextlib.suppress(ThreadError):
        start(timer)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        # Another one would accept connections past our listener.
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
