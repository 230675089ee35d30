"""Compares passwords with bcrypt hashes: one at a time, outside the event loop, with cached results."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping
from enum import Enum, auto
from functools import partial

import bcrypt

from exporter.errors import ThreadError
from exporter.system.threads import run_in_thread

MAX_BYTES = 72
"""bcrypt uses no more of a password; as in Go, the rest is ignored."""
MAX_WRONG = 1000
"""Size of the cache of wrong passwords."""
MAX_WAITING, MAX_WAITING_EACH = 50, 5
"""Queued comparisons, in total and for each address."""
UNKNOWN_USER_HASH = "N2zAcIs1lbx4AvTvIjvgGObyaE4nZ4cyHEMFMtw7GoxEnKfTtcmFC"  # pragma: allowlist secret
"""Salt and digest of an unknown password, for users that do not exist."""


class Verdict(Enum):
    """Result of a comparison."""

    RIGHT = auto()
    WRONG = auto()
    BUSY = auto()
    """No comparison: the queue is full, or the system refuses a thread."""


class Passwords:
    """The users of a web configuration, with a cache of results."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        """Use bcrypt hashes by user."""
        self._hashes = {user.encode(): text.encode() for user, text in hashes.items()}
        # An unknown user costs as much time as the most expensive known one.
        cost = max((digest[4:6] for digest in self._hashes.values()), default=b"10")
        self._unknown_user_hash = b"$2b$%b$%b" % (cost, UNKNOWN_USER_HASH.encode())
        self._key = secrets.token_bytes()
        self._right: set[bytes] = set()
        """At most one per user."""
        self._wrong: dict[bytes, None] = {}
        self._comparing = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    async def verify(self, user: bytes, password: bytes, address: str) -> Verdict:
        """Compare a password with the user's hash; the address limits the queue of one client."""
        used = password[:MAX_BYTES]
        # User names have no colon. A keyed digest reveals nothing in a memory dump.
        digest = hashlib.blake2b(user + b":" + used, key=self._key).digest()
        if verdict := self._cached(digest):
            return verdict
        if self._waiting[address] >= MAX_WAITING_EACH or self._waiting.total() >= MAX_WAITING:
            return Verdict.BUSY
        self._waiting[address] += 1
        try:
            async with self._comparing:
                return self._cached(digest) or await self._compare(digest, user, used)
        finally:
            self._waiting[address] -= 1
            # Removes addresses with a count of 0.
            self._waiting += Counter()

    def _cached(self, digest: bytes) -> Verdict | None:
        if digest in self._right:
            return Verdict.RIGHT
        return Verdict.WRONG if digest in self._wrong else None

    async def _compare(self, digest: bytes, user: bytes, password: bytes) -> Verdict:
        hashed = self._hashes.get(user, self._unknown_user_hash)
        try:
            is_right = await run_in_thread(partial(bcrypt.checkpw, password, hashed))
        except ThreadError:
            return Verdict.BUSY
        if is_right and user in self._hashes:
            self._right.add(digest)
            return Verdict.RIGHT
        if len(self._wrong) >= MAX_WRONG:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[digest] = None
        return Verdict.WRONG
