"""Passwords are compared with bcrypt as often as is needed, and known and unknown users cost the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import bcrypt
import pytest

from exporter.webconfig import passwords
from exporter.webconfig.passwords import Passwords, Verdict
from tests.certificates import PASSWORD, hashed

RIGHT, WRONG, BUSY = Verdict.RIGHT, Verdict.WRONG, Verdict.BUSY
GOOD = PASSWORD.encode()


@dataclass
class Comparisons:
    """Every comparison that bcrypt was asked for."""

    hashes: list[bytes] = field(default_factory=list)
    going_on: threading.Event = field(default_factory=threading.Event)
    """Set: comparisons end at once."""
    most: int = 0
    """At the same time."""
    _running: int = 0

    def __len__(self) -> int:
        """Return how many there were."""
        return len(self.hashes)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Comparisons]:
    """Counts the comparisons, which are real ones."""
    comparisons, checkpw = Comparisons(), bcrypt.checkpw
    comparisons.going_on.set()

    def counted(password: bytes, digest: bytes) -> bool:
        comparisons.hashes.append(digest)
        comparisons._running += 1
        comparisons.most = max(comparisons.most, comparisons._running)
        assert comparisons.going_on.wait(20)
        result = checkpw(password, digest)
        comparisons._running -= 1
        return result

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    yield comparisons
    comparisons.going_on.set()


def users(**hashes: str) -> Passwords:
    """Return the users of a file."""
    return Passwords(hashes)


def judge(known: Passwords, *asked: tuple[bytes, bytes]) -> list[Verdict]:
    """Return the verdicts, one after the other."""

    async def all_of_them() -> list[Verdict]:
        return [await known.judge(*pair, "192.0.2.1") for pair in asked]

    return asyncio.run(all_of_them())


def at_once(known: Passwords, *asked: tuple[bytes, bytes]) -> list[Verdict]:
    """Return the verdicts of those who ask at the same time, from an address each."""

    async def all_of_them() -> list[Verdict]:
        return await asyncio.gather(
            *(known.judge(*pair, f"192.0.2.{number}") for number, pair in enumerate(asked))
        )

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_verdicts(prefix: str) -> None:
    """The right password of the user is right, everything else is wrong."""
    known = users(alice=hashed(prefix=prefix), bob=hashed("another"))

    assert [RIGHT, WRONG, WRONG, WRONG, WRONG] == judge(
        known, (b"alice", GOOD), (b"alice", b"another"), (b"bob", GOOD), (b"carol", GOOD), (b"alice", b"")
    )


@pytest.mark.parametrize("name", ["jürgen", "a b", "名前"])
def test_names_that_are_not_ascii(name: str) -> None:
    """Names are UTF-8; what is not UTF-8 is nobody's name."""
    known = users(**{name: hashed()})

    assert [RIGHT, WRONG] == judge(known, (name.encode(), GOOD), (b"\xff", GOOD))


def test_long_passwords() -> None:
    """As in Go, bcrypt looks at 72 bytes of a password, and more are no error."""
    known = users(alice=hashed("a" * 72), bob=hashed("a" * 71))

    assert [RIGHT, RIGHT, WRONG, WRONG] == judge(
        known, (b"alice", b"a" * 72), (b"alice", b"a" * 5000), (b"alice", b"a" * 71), (b"bob", b"a" * 72)
    )


@pytest.mark.parametrize("password", [b"a\0b", b"\0", b"\xff\xfe"])
def test_odd_bytes(password: bytes) -> None:
    """No byte of a password is an exception."""
    assert [WRONG] == judge(users(alice=hashed()), (b"alice", password))


def test_everybody_costs_the_same(compared: Comparisons) -> None:
    """Right, wrong and unknown are one comparison each, at the cost of the costliest user."""
    known = users(alice=hashed(), bob=bcrypt.hashpw(GOOD, bcrypt.gensalt(5)).decode())

    for user, password in ((b"bob", GOOD), (b"bob", b"wrong"), (b"carol", GOOD)):
        judge(known, (user, password))

    assert [b"$2b$05$"] * 3 == [digest[:7] for digest in compared.hashes]


def test_password_of_the_stand_in() -> None:
    """Even the password of the hash that stands in for unknown users lets nobody in."""
    known = users(alice=hashed())
    known._stand_in = hashed("known to all").encode()

    assert [WRONG] == judge(known, (b"carol", b"known to all"))


def test_each_is_compared_once(compared: Comparisons) -> None:
    """What was compared is known, the right as well as the wrong."""
    known = users(alice=hashed())
    asked = ((b"alice", GOOD), (b"alice", b"wrong"), (b"carol", GOOD))

    for _ in range(3):
        assert [RIGHT, WRONG, WRONG] == judge(known, *asked)

    assert 3 == len(compared)


def test_same_password_at_once(compared: Comparisons) -> None:
    """Many who bring the same password at the same time are one comparison."""
    assert [RIGHT] * 20 == at_once(users(alice=hashed()), *[(b"alice", GOOD)] * 20)
    assert 1 == len(compared)


def test_one_comparison_at_a_time(compared: Comparisons) -> None:
    """However many passwords come, one is compared at a time."""
    asked = [(b"alice", b"%d" % number) for number in range(20)]

    assert [WRONG] * 20 == at_once(users(alice=hashed()), *asked)
    assert (20, 1) == (len(compared), compared.most)


def test_comparison_holds_nobody_else(compared: Comparisons) -> None:
    """While a comparison lasts, the event loop goes on, and what is known is answered."""
    known = users(alice=hashed())

    async def ask() -> list[Verdict]:
        first = await known.judge(b"alice", GOOD, "192.0.2.1")
        compared.going_on.clear()
        slow = asyncio.create_task(known.judge(b"alice", b"wrong", "192.0.2.1"))
        while len(compared) < 2:
            await asyncio.sleep(0.001)
        meanwhile = await known.judge(b"alice", GOOD, "192.0.2.1")
        assert not slow.done()
        compared.going_on.set()
        return [first, meanwhile, await slow]

    assert [RIGHT, RIGHT, WRONG] == asyncio.run(ask())


def test_too_many_wait(compared: Comparisons, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound nobody is put into the queue, and afterwards everything is as before."""
    monkeypatch.setattr(passwords, "MAX_WAITING", 3)
    known = users(alice=hashed())
    asked = [(b"alice", b"%d" % number) for number in range(5)]

    assert [WRONG, WRONG, WRONG, BUSY, BUSY] == at_once(known, *asked)
    assert [RIGHT] == judge(known, (b"alice", GOOD))


def test_one_address_cannot_fill_the_queue(compared: Comparisons) -> None:
    """Who sends many wrong passwords at once is turned away, and others are not."""

    async def flood() -> list[Verdict]:
        many = [known.judge(b"alice", b"%d" % number, "192.0.2.66") for number in range(20)]
        return await asyncio.gather(*many, known.judge(b"alice", GOOD, "192.0.2.1"))

    known = users(alice=hashed())

    assert [WRONG] * 5 + [BUSY] * 15 + [RIGHT] == asyncio.run(flood())
    assert {} == known._waiting


def test_wrong_ones_are_bounded(compared: Comparisons, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest wrong passwords are forgotten, the right ones never."""
    monkeypatch.setattr(passwords, "MAX_WRONG", 3)
    known = users(alice=hashed())
    judge(known, (b"alice", GOOD), *((b"alice", b"%d" % number) for number in range(4)))
    before = len(compared)

    judge(known, (b"alice", GOOD), *((b"alice", b"%d" % number) for number in (3, 2, 1)))
    assert before == len(compared)

    judge(known, (b"alice", b"0"))
    assert (before + 1, 3) == (len(compared), len(known._wrong))


def test_no_password_is_kept() -> None:
    """What is remembered are digests by a key of its own, never passwords."""
    one, other = users(alice=hashed()), users(alice=hashed())
    for known in (one, other):
        judge(known, (b"alice", GOOD), (b"alice", b"wrong-password"))

    assert PASSWORD not in repr(vars(one))
    assert "wrong-password" not in repr(vars(one))
    assert one._right.isdisjoint(other._right)
    assert set(one._wrong).isdisjoint(other._wrong)
