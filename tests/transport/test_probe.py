"""Tests of `exporter.transport.probe`."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.errors import Outcome
from exporter.files.secret import Secret
from exporter.transport import probe
from exporter.transport.auth import Credentials
from exporter.transport.authorities import Authorities
from exporter.transport.probe import ProbeError, Reply, get
from tests.clocks import START_DATE
from tests.doctor.backends import Backend
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Answer, Drips, Gateway, Resets, Says, Silence, State, Streams
from tests.replay import answer
from tests.waiting import wait_until

CLOCK = SystemClock()
SHORT, LONG = 0.5, 10.0
"""Deadlines: for requests that time out, and for all others."""
OK = Says(answer(200, b"ok"))
HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPPING_BODY = Drips(HEAD + b"content-length: 1000\r\n\r\n", b"x", 0.05)
SLOW = (Silence(), Drips(b"", HEAD, 0.05), DRIPPING_BODY)
NO_GZIP = Says(answer(200, b"not packed at all", content_encoding="gzip"))


def ask(
    peer: Gateway, played: Answer, seconds: float = LONG, trusted: Authorities | None = None, **state: object
) -> ProbeError:
    """Return the error of a request."""
    peer.become(State({"/x": played}, **state))  # type: ignore[arg-type]
    scheme, begun = "https" if state.get("tls") else "http", time.monotonic()
    with pytest.raises(ProbeError) as caught:
        get(f"{scheme}://{peer.address}/x", CLOCK, seconds=seconds, authorities=trusted)
    assert time.monotonic() - begun < seconds + 1
    return caught.value


DATE = "Thu, 20 Aug 2026 02:01:40 GMT"


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        ({"date": DATE}, START_DATE),
        ({}, None),
        ({"date": "yesterday"}, None),
        ({"date": DATE.replace("2026", "99999")}, None),
    ],
)
def test_good_answer(peer: Gateway, headers: dict[str, str], date: float | None) -> None:
    """Returns body and date, None without a valid one; sends the query and no credentials."""
    peer.become(State({"/x?q=a+b&u=1&u=2": Says(answer(200, b"ok", **headers))}))
    reply = get(f"http://{peer.address}/x", CLOCK, {"q": "a b", "u": ["1", "2"]})

    assert Reply(b"ok", date) == reply
    assert None is peer.asked[0].authorization


@pytest.mark.parametrize(
    ("played", "outcome", "detail"),
    [
        *((slow, Outcome.TIMEOUT, "no complete response within 0.5 s") for slow in SLOW),
        (Resets(), Outcome.CONNECT, "Connection reset by peer"),
        (NO_GZIP, Outcome.NOT_JSON, "a body that cannot be decompressed"),
        (Says(answer(302, location="http://[")), Outcome.REDIRECT, "HTTP status 302"),
        (Says(answer(401)), Outcome.UNAUTHORIZED, "HTTP status 401"),
        (Says(answer(503)), Outcome.SERVER_ERROR, "HTTP status 503"),
    ],
)
def test_bad_peer(peer: Gateway, played: Answer, outcome: Outcome, detail: str) -> None:
    """Returns outcome and detail of each failure before the deadline."""
    error = ask(peer, played, SHORT if outcome is Outcome.TIMEOUT else LONG)

    assert (outcome, detail) == (error.outcome, error.detail)
    assert (int(detail[-3:]) if detail.startswith("HTTP status") else None) == error.status


def test_thread_after_a_timeout(peer: Gateway) -> None:
    """The thread of a request ends after a timeout, although the server still sends."""
    ask(peer, DRIPPING_BODY, SHORT)

    wait_until(lambda: "probe" not in [thread.name for thread in threading.enumerate()], 2)


def test_endless_answer(peer: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response without end fails at the size limit."""
    monkeypatch.setattr(probe, "MAX_BYTES", 200_000)
    error = ask(peer, Streams(HEAD + b"\r\n", b"x" * 65_536))

    assert (Outcome.TOO_LARGE, "more than 200000 bytes") == (error.outcome, error.detail)


def test_tls(peer: Gateway, tmp_path: Path) -> None:
    """A private authority is trusted only where it is configured."""
    error = ask(peer, OK, tls=Tls.GOOD)
    trusted = Authorities("SSL_CERT_FILE", write_authority(tmp_path / "ca.pem"))

    assert Outcome.TLS is error.outcome
    assert b"ok" == get(f"https://{peer.address}/x", CLOCK, authorities=trusted).body
    strict = ask(peer, OK, trusted=trusted, tls=Tls.WANTS_CERTIFICATE_1_3)
    assert "certificate required" in strict.detail


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (None, None),
        (Credentials(None, Secret("token")), "Bearer token"),
        (Credentials("me", Secret("pässword")), "Basic bWU6cMOkc3N3b3Jk"),
    ],
)
def test_identity(
    credentials: Credentials | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sends the configured credentials, and never those of ~/.netrc."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password stranger\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Backend({"/": "ok"}) as backend:
        get(f"{backend.url}/", CLOCK, credentials=credentials)

    assert [expected] == [asked.authorization for asked in backend.asked]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        *((body, Outcome.NOT_JSON) for body in (b"<html>", b"\xff", b'{"a":' + b"[" * 100_000)),
        *((body, Outcome.WRONG_SHAPE) for body in (b'{"a":"b"}', b"[1]")),
    ],
    ids=["HTML", "bytes", "nested", "value", "array"],
)
def test_decode(body: bytes, outcome: Outcome) -> None:
    """Raises for a body that is not a JSON document of the type."""
    with pytest.raises(ProbeError) as caught:
        Reply(body, None).decode(dict[str, list[object]])

    assert outcome is caught.value.outcome


def test_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is an `internal` error."""

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(probe, "Session", fail)
    with pytest.raises(ProbeError) as caught:
        get("http://127.0.0.1:9/", CLOCK)

    assert (Outcome.INTERNAL, "ZeroDivisionError") == (caught.value.outcome, caught.value.detail)
