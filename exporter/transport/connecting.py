"""Connects to the first address of a host that accepts (RFC 8305, "Happy Eyeballs").

All addresses share one deadline: while an attempt is pending, the next one starts.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

ATTEMPT_DELAY_SECONDS = 0.25
"""Between the starts of two attempts: RFC 8305, section 5."""
STARTING_SHARE = 0.5
"""Part of the timeout within which all attempts start; the rest is for the last one."""
ABORT_CHECK_SECONDS = 0.25
MAX_NAMED = 8
"""Maximum number of addresses in a message."""
NO_CONNECTION = "no connection before the deadline"
STARTED = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK})
"""Results of a nonblocking connect."""

AddressInfo = tuple[int, int, int, str, Any]
"""One result of `getaddrinfo`."""


class Connector:
    """Opens one connection; `timeout_detail` may be read from any thread."""

    def __init__(
        self, host: str, port: int, prepare: Callable[[socket.socket], None], is_aborted: Callable[[], bool]
    ) -> None:
        """Resolve nothing yet.

        Args:
            host: Name or address.
            port: Port of all addresses.
            prepare: Sets the options of each socket before it connects.
            is_aborted: Whether to give up; called at least every `ABORT_CHECK_SECONDS`.
        """
        self._host = host
        self._port = port
        self._prepare = prepare
        self._is_aborted = is_aborted
        self._tried: tuple[str, ...] = ()
        self._next_start = 0.0
        self._error = OSError("no address was tried")

    @property
    def timeout_detail(self) -> str:
        """Detail of a timeout, with the addresses tried so far."""
        if not self._tried:
            return NO_CONNECTION
        more = len(self._tried) - MAX_NAMED
        others = f" and {more} more" if more > 0 else ""
        return f"{NO_CONNECTION}: tried {', '.join(self._tried[:MAX_NAMED])}{others}"

    def connect(self, seconds: float) -> socket.socket:
        """Resolve the host, and return a connection to the first address that accepts.

        Args:
            seconds: Timeout for all addresses together; a hanging resolver can exceed it.

        Raises:
            gaierror: When the host cannot be resolved.
            TimeoutError: When no address accepts in time, or when aborted; its text is `timeout_detail`.
            OSError: When every address refuses; the last error.
        """
        deadline = time.monotonic() + seconds
        found = self._resolve()
        delay = min(ATTEMPT_DELAY_SECONDS, STARTING_SHARE * seconds / len(found))
        with selectors.DefaultSelector() as pending:
            try:
                return self._first(deque(found), pending, deadline, delay)
            finally:
                for key in pending.get_map().values():
                    cast(socket.socket, key.fileobj).close()

    def _resolve(self) -> Sequence[AddressInfo]:
        try:
            return socket.getaddrinfo(self._host.strip("[]"), self._port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "not a valid host name") from error

    def _first(
        self, waiting: deque[AddressInfo], pending: selectors.BaseSelector, deadline: float, delay: float
    ) -> socket.socket:
        while (now := time.monotonic()) < deadline and not self._is_aborted():
            if waiting and (now >= self._next_start or not pending.get_map()):
                self._next_start = now + delay
                self._start(waiting.popleft(), pending)
            elif pending.get_map():
                wake = self._next_start if waiting else deadline
                if connected := self._wait(pending, min(wake - now, ABORT_CHECK_SECONDS)):
                    return connected
            else:
                raise self._error
        raise TimeoutError(errno.ETIMEDOUT, self.timeout_detail)

    def _start(self, row: AddressInfo, pending: selectors.BaseSelector) -> None:
        self._tried += (str(row[-1][0]),)
        try:
            pending.register(self._open(row), selectors.EVENT_WRITE)
        except OSError as error:
            self._fail(error)

    def _open(self, row: AddressInfo) -> socket.socket:
        """Return a socket that is connecting."""
        family, kind, protocol, _, address = row
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            self._prepare(sock)
            code = sock.connect_ex(address)
            if code not in STARTED:
                raise OSError(code, os.strerror(code))
        except OSError:
            sock.close()
            raise
        return sock

    def _wait(self, pending: selectors.BaseSelector, seconds: float) -> socket.socket | None:
        """Return a connected socket, None if there is none yet."""
        for key, _ in pending.select(seconds):
            sock = cast(socket.socket, key.fileobj)
            pending.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return sock
            sock.close()
            self._fail(OSError(code, os.strerror(code)))
        return None

    def _fail(self, error: OSError) -> None:
        """Record the error of an attempt; the next one starts at once."""
        self._error = error
        self._next_start = 0.0
