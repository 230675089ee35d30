"""Comparisons of passwords: results, cache, queue and cost."""

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
    """The comparisons of bcrypt."""

    hashes: list[bytes] = field(default_factory=list)
    proceed: threading.Event = field(default_factory=threading.Event)
    """Comparisons wait for it."""
    most: int = 0
    """Maximum number at the same time."""
    _running: int = 0

    def __len__(self) -> int:
        """Return their number."""
        return len(self.hashes)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Comparisons]:
    """Counts real comparisons."""
    comparisons, checkpw = Comparisons(), bcrypt.checkpw
    comparisons.proceed.set()

    def counted(password: bytes, digest: bytes) -> bool:
        comparisons.hashes.append(digest)
        comparisons._running += 1
        comparisons.most = max(comparisons.most, comparisons._running)
        assert comparisons.proceed.wait(20)
        result = checkpw(password, digest)
        comparisons._running -= 1
        return result

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    yield comparisons
    comparisons.proceed.set()


def verify(known: Passwords, *asked: tuple[bytes, bytes]) -> list[Verdict]:
    """Verify one after the other."""

    async def all_of_them() -> list[Verdict]:
        return [await known.verify(*pair, "192.0.2.1") for pair in asked]

    return asyncio.run(all_of_them())


def at_once(known: Passwords, *asked: tuple[bytes, bytes]) -> list[Verdict]:
    """Verify at the same time, each from its own address."""

    async def all_of_them() -> list[Verdict]:
        return await asyncio.gather(
            *(known.verify(*pair, f"192.0.2.{number}") for number, pair in enumerate(asked))
        )

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_verdicts(prefix: str) -> None:
    """Only the user's own password is right; any bytes are a password."""
    known = Passwords({"alice": hashed(prefix=prefix), "bob": hashed("another")})
    wrong = [(b"alice", each) for each in (b"another", b"", b"a\0b", b"\0", b"\xff\xfe")]

    assert [RIGHT, *[WRONG] * 7] == verify(known, (b"alice", GOOD), (b"bob", GOOD), (b"carol", GOOD), *wrong)


@pytest.mark.parametrize("name", ["jürgen", "a b", "名前"])
def test_utf8_names(name: str) -> None:
    """User names are UTF-8."""
    assert [RIGHT, WRONG] == verify(Passwords({name: hashed()}), (name.encode(), GOOD), (b"\xff", GOOD))


def test_long_passwords() -> None:
    """As in Go, 72 bytes of a password are compared, and more are valid."""
    known = Passwords({"alice": hashed("a" * 72), "bob": hashed("a" * 71)})
    asked = [(b"alice", b"a" * length) for length in (72, 5000, 71)]

    assert [RIGHT, RIGHT, WRONG, WRONG] == verify(known, *asked, (b"bob", b"a" * 72))


def test_equal_cost(compared: Comparisons) -> None:
    """Every user, known or not, costs one comparison at the highest cost."""
    known = Passwords({"alice": hashed(), "bob": bcrypt.hashpw(GOOD, bcrypt.gensalt(5)).decode()})

    for user, password in ((b"bob", GOOD), (b"bob", b"wrong"), (b"carol", GOOD)):
        verify(known, (user, password))

    assert [b"$2b$05$"] * 3 == [digest[:7] for digest in compared.hashes]


def test_password_of_the_unknown_user() -> None:
    """The password of the hash for unknown users is wrong, too."""
    known = Passwords({"alice": hashed()})
    known._unknown_user_hash = hashed("known to all").encode()

    assert [WRONG] == verify(known, (b"carol", b"known to all"))


def test_cache(compared: Comparisons) -> None:
    """Right and wrong passwords are compared once."""
    known = Passwords({"alice": hashed()})
    asked = ((b"alice", GOOD), (b"alice", b"wrong"), (b"carol", GOOD))

    for _ in range(3):
        assert [RIGHT, WRONG, WRONG] == verify(known, *asked)

    assert 3 == len(compared)


def test_same_password_at_once(compared: Comparisons) -> None:
    """The same password at the same time is compared once."""
    assert [RIGHT] * 20 == at_once(Passwords({"alice": hashed()}), *[(b"alice", GOOD)] * 20)
    assert 1 == len(compared)


def test_one_comparison_at_a_time(compared: Comparisons) -> None:
    """One password is compared at a time."""
    asked = [(b"alice", b"%d" % number) for number in range(20)]

    assert [WRONG] * 20 == at_once(Passwords({"alice": hashed()}), *asked)
    assert (20, 1) == (len(compared), compared.most)


def test_event_loop_during_a_comparison(compared: Comparisons) -> None:
    """During a comparison, cached passwords are answered."""
    known = Passwords({"alice": hashed()})

    async def ask() -> list[Verdict]:
        first = await known.verify(b"alice", GOOD, "192.0.2.1")
        compared.proceed.clear()
        slow = asyncio.create_task(known.verify(b"alice", b"wrong", "192.0.2.1"))
        while len(compared) < 2:
            await asyncio.sleep(0.001)
        meanwhile = await known.verify(b"alice", GOOD, "192.0.2.1")
        assert not slow.done()
        compared.proceed.set()
        return [first, meanwhile, await slow]

    assert [RIGHT, RIGHT, WRONG] == asyncio.run(ask())


def test_full_queue(compared: Comparisons, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue rejects comparisons until it is empty."""
    monkeypatch.setattr(passwords, "MAX_WAITING", 3)
    known = Passwords({"alice": hashed()})
    asked = [(b"alice", b"%d" % number) for number in range(5)]

    assert [WRONG, WRONG, WRONG, BUSY, BUSY] == at_once(known, *asked)
    assert [RIGHT] == verify(known, (b"alice", GOOD))


def test_queue_of_one_address(compared: Comparisons) -> None:
    """Each address has a limit of its own."""

    async def flood() -> list[Verdict]:
        many = [known.verify(b"alice", b"%d" % number, "192.0.2.66") for number in range(20)]
        return await asyncio.gather(*many, known.verify(b"alice", GOOD, "192.0.2.1"))

    known = Passwords({"alice": hashed()})

    assert [WRONG] * 5 + [BUSY] * 15 + [RIGHT] == asyncio.run(flood())
    assert {} == known._waiting


def test_size_of_the_cache(compared: Comparisons, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest wrong passwords leave the cache, right ones stay."""
    monkeypatch.setattr(passwords, "MAX_WRONG", 3)
    known = Passwords({"alice": hashed()})
    verify(known, (b"alice", GOOD), *((b"alice", b"%d" % number) for number in range(4)))
    before = len(compared)

    verify(known, (b"alice", GOOD), *((b"alice", b"%d" % number) for number in (3, 2, 1)))
    assert before == len(compared)

    verify(known, (b"alice", b"0"))
    assert (before + 1, 3) == (len(compared), len(known._wrong))


def test_no_password_in_memory() -> None:
    """The cache has digests with a random key, not passwords."""
    one, other = Passwords({"alice": hashed()}), Passwords({"alice": hashed()})
    for known in (one, other):
        verify(known, (b"alice", GOOD), (b"alice", b"wrong-password"))

    assert PASSWORD not in repr(vars(one))
    assert "wrong-password" not in repr(vars(one))
    assert one._right.isdisjoint(other._right)
    assert set(one._wrong).isdisjoint(other._wrong)
