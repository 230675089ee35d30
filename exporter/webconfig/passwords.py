"""Passwords, compared with their bcrypt hashes: one at a time, off the event loop, and once each."""

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
"""What bcrypt uses of a password: like Go's comparison, ours leaves out the rest."""
MAX_WRONG = 1000
"""Wrong passwords that are remembered."""
MAX_WAITING, MAX_WAITING_EACH = 50, 5
"""Comparisons that wait for their turn, in all and for one address; they come faster than they are made."""
STAND_IN = "N2zAcIs1lbx4AvTvIjvgGObyaE4nZ4cyHEMFMtw7GoxEnKfTtcmFC"  # pragma: allowlist secret
"""Salt and digest of a password that nobody knows."""


class Verdict(Enum):
    """What a comparison came to."""

    RIGHT = auto()
    WRONG = auto()
    BUSY = auto()
    """There was none, since too many wait for theirs, or the system refuses the thread for it."""


class Passwords:
    """The users of one web configuration, and what is known already of passwords."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        """Take the bcrypt hashes by user."""
        self._hashes = {user.encode(): text.encode() for user, text in hashes.items()}
        # An unknown user costs what the costliest known one does.
        cost = max((digest[4:6] for digest in self._hashes.values()), default=b"10")
        self._stand_in = b"$2b$%b$%b" % (cost, STAND_IN.encode())
        self._key = secrets.token_bytes()
        self._right: set[bytes] = set()
        """Never more than one for each user, whatever strangers send."""
        self._wrong: dict[bytes, None] = {}
        self._turn = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    async def judge(self, user: bytes, password: bytes, address: str) -> Verdict:
        """Tell whether this is the user's password, for somebody at an address."""
        used = password[:MAX_BYTES]
        # No user's name has a colon. A keyed digest tells nothing to those who find it in a dump of memory.
        digest = hashlib.blake2b(user + b":" + used, key=self._key).digest()
        if verdict := self._known(digest):
            return verdict
        if self._waiting[address] >= MAX_WAITING_EACH or self._waiting.total() >= MAX_WAITING:
            return Verdict.BUSY
        self._waiting[address] += 1
        try:
            async with self._turn:
                return self._known(digest) or await self._compare(digest, user, used)
        finally:
            self._waiting[address] -= 1
            # Nobody's address is kept.
            self._waiting += Counter()

    def _known(self, digest: bytes) -> Verdict | None:
        if digest in self._right:
            return Verdict.RIGHT
        return Verdict.WRONG if digest in self._wrong else None

    async def _compare(self, digest: bytes, user: bytes, password: bytes) -> Verdict:
        hashed = self._hashes.get(user, self._stand_in)
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
