"""Answers on their way to clients that read slowly, or not at all: what waits for them is bounded.

A body is shared by all who get it. Only a piece of it is copied for each client, and the next one when the
client has taken that.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.web.connections import ABORT

BUFFER_BYTES = 16 * 1024 * 1024
"""Of all pieces of a route together: each takes half of what is left, but the smallest in any case."""
SMALLEST_PIECE = 32 * 1024
MAX_BODIES = 8
"""Different bodies on their way: two expositions in both formats, with gzip and without."""

Abort = Callable[[], object]


class Answers:
    """Sends the bodies of one route; for the thread of the event loop."""

    def __init__(self) -> None:
        """Begin with nothing on its way."""
        self._buffered = 0
        self._readers: dict[int, set[Abort]] = {}
        """What breaks off the connections to which a body is on its way, by its id; the oldest body first."""

    async def send(self, body: memoryview, abort: Abort, send: Send) -> None:
        """Send a body piece by piece.

        Args:
            body: Of the answer.
            abort: Breaks off the connection: the clients that read the oldest body make room for a new one.
            send: Of ASGI; returns when what was sent before has left for the system.
        """
        key = id(body.obj)
        self._make_room(key)
        self._readers.setdefault(key, set()).add(abort)
        try:
            while body:
                size = max(SMALLEST_PIECE, (BUFFER_BYTES - self._buffered) // 2)
                await self._send_piece(body[:size], send)
                body = body[size:]
        finally:
            self._forget(key, abort)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(self, piece: memoryview, send: Send) -> None:
        self._buffered += len(piece)
        try:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            # It waits until the piece has left.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        finally:
            self._buffered -= len(piece)

    def _make_room(self, key: int) -> None:
        if key not in self._readers and len(self._readers) >= MAX_BODIES:
            for abort in self._readers.pop(next(iter(self._readers))):
                abort()

    def _forget(self, key: int, abort: Abort) -> None:
        readers = self._readers.get(key, set())
        readers.discard(abort)
        if not readers:
            self._readers.pop(key, None)


class SharedBody(Response):
    """An answer whose body is sent by `Answers`."""

    def __init__(self, answers: Answers, body: bytes, media_type: str) -> None:
        """Answer 200 with a body."""
        super().__init__(body, media_type=media_type)
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then the body."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        abort = scope["extensions"][ABORT]["abort"]
        await self._answers.send(memoryview(self.body), abort, send)
