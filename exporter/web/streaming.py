"""Streams response bodies in chunks and limits the memory that slow clients hold.

All clients share one copy of a body. Only the chunk in transit is copied for each client.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.web.server import ABORT

BUFFER_BYTES = 16 * 1024 * 1024
"""For all chunks of a route in transit. A chunk takes half of the rest, but at least the minimum."""
MIN_CHUNK_BYTES = 32 * 1024
MAX_BODIES = 8
"""Distinct bodies in transit: two expositions in both formats, with and without gzip."""

Abort = Callable[[], object]


class BodyStreamer:
    """Sends the bodies of one route; must be used in the event loop's thread."""

    def __init__(self) -> None:
        """Start with no body in transit."""
        self._buffered = 0
        self._clients: dict[int, set[Abort]] = {}
        """For each body in transit, by id and oldest first: callbacks that abort the connections."""

    async def send(self, body: memoryview, abort: Abort, send: Send) -> None:
        """Send a body chunk by chunk.

        Args:
            body: Response body.
            abort: Aborts the connection. Called when a newer body needs the place of this one.
            send: The ASGI `send`; it returns when the kernel has taken the previous chunk.
        """
        key = id(body.obj)
        self._evict_oldest(key)
        self._clients.setdefault(key, set()).add(abort)
        try:
            while body:
                size = max(MIN_CHUNK_BYTES, (BUFFER_BYTES - self._buffered) // 2)
                await self._send_chunk(body[:size], send)
                body = body[size:]
        finally:
            self._remove(key, abort)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_chunk(self, chunk: memoryview, send: Send) -> None:
        self._buffered += len(chunk)
        try:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            # Waits until the chunk above has left the write buffer.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        finally:
            self._buffered -= len(chunk)

    def _evict_oldest(self, key: int) -> None:
        if key not in self._clients and len(self._clients) >= MAX_BODIES:
            for abort in self._clients.pop(next(iter(self._clients))):
                abort()

    def _remove(self, key: int, abort: Abort) -> None:
        clients = self._clients.get(key, set())
        clients.discard(abort)
        if not clients:
            self._clients.pop(key, None)


class StreamedResponse(Response):
    """A response whose body a `BodyStreamer` sends."""

    def __init__(self, streamer: BodyStreamer, body: bytes, media_type: str) -> None:
        """Create a response with status 200."""
        super().__init__(body, media_type=media_type)
        self._streamer = streamer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers, then the body."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        abort = scope["extensions"][ABORT]["abort"]
        await self._streamer.send(memoryview(self.body), abort, send)
