"""Connections, bounded in time and size: uvicorn alone waits for ever for a request's or an answer's end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 10.0
"""From the opening of a connection, or the first byte of a further request, until the request is complete."""
ANSWER_SECONDS = 30.0
"""From a complete request until its answer has been taken; a scrape gives up long before."""
MAX_REQUEST_BYTES = 65_536
"""Of a request; Prometheus sends some hundred, and no route takes a body."""
MAX_PIPELINED = 16
"""Requests on one connection that wait for the answer to the one before them."""
ABORT = "exporter.abort"
"""Extension of ASGI: `abort` breaks off the connection of a request."""
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection that nobody can hold by sending or taking slowly, nor fill with endless headers."""

    _deadline: asyncio.TimerHandle
    _request_bytes = 0
    _has_head = False

    def __init__(self, *args: Any, is_ending: Callable[[], bool], **options: Any) -> None:
        """Serve as uvicorn's own, unless the server `is_ending`."""
        super().__init__(*args, **options)
        self._is_ending = is_ending

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        # An answer goes on when all that was written has left for the system; at 0, one over TLS never would.
        transport.set_write_buffer_limits(high=1)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, transport.abort)
        # Accepted before the end and made after it began, it would be waited for; nobody tells it to close.
        if self._is_ending():
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, unless it is too large."""
        self._request_bytes += len(data)
        if self._request_bytes > MAX_REQUEST_BYTES:
            # After the head, be it for a body or for trailers without end, the answer is already on its way.
            if not self._has_head:
                self.transport.write(TOO_LARGE)
            self.transport.close()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a request."""
        self._set_date()
        self._wait(REQUEST_SECONDS)
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def on_headers_complete(self) -> None:
        """Begin to answer, or put the request behind those that wait."""
        self._has_head = True
        super().on_headers_complete()
        # uvicorn reads on after each answer, however many requests wait.
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """Begin to wait until the answer is taken, and to count the next request."""
        self._wait(ANSWER_SECONDS)
        self._has_head, self._request_bytes = False, 0
        super().on_message_complete()

    def _wait(self, seconds: float) -> None:
        self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _set_date(self) -> None:
        """Date the answers; uvicorn does it each second, be there a request or not."""
        self.server_state.default_headers = _dated(int(time.time()))


@lru_cache(maxsize=1)
def _dated(second: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(second, usegmt=True).encode())]
