"""Tests of `exporter.doctor.probe`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.doctor import probe
from exporter.doctor.probe import ProbeError, Reply, get
from exporter.doctor.targets import Credentials
from exporter.errors import Outcome
from exporter.files.secret import Secret
from exporter.transport.authorities import Authorities
from tests.clocks import START_DATE
from tests.doctor.backends import Backend
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Answer, Drips, Gateway, Resets, Says, Silence, State, Streams
from tests.replay import answer

CLOCK = SystemClock()
SHORT, LONG = 0.5, 10.0
"""Deadlines: for requests that time out, and for all others."""
HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPPING_BODY = Drips(HEAD + b"content-length: 1000\r\n\r\n", b"x", 0.05)
NO_GZIP = Says(answer(200, b"not packed at all", content_encoding="gzip"))


@pytest.fixture
def peer() -> Iterator[Gateway]:
    """A scripted server."""
    with Gateway() as running:
        yield running


def ask(
    peer: Gateway,
    played: Answer | None = None,
    seconds: float = LONG,
    authorities: Authorities | None = None,
    **state: object,
) -> ProbeError:
    """Return the error of a request."""
    peer.become(State({} if played is None else {"/x": played}, **state))  # type: ignore[arg-type]
    scheme = "https" if state.get("tls") else "http"
    begun = time.monotonic()
    with pytest.raises(ProbeError) as caught:
        get(f"{scheme}://{peer.address}/x", CLOCK, seconds=seconds, authorities=authorities)
    assert time.monotonic() - begun < seconds + 1
    return caught.value


def test_good_answer(peer: Gateway) -> None:
    """Returns body and date; sends the query and no credentials."""
    peer.become(State({"/x?q=a+b&u=1&u=2": Says(answer(200, b"ok", date="Thu, 20 Aug 2026 02:01:40 GMT"))}))

    reply = get(f"http://{peer.address}/x", CLOCK, {"q": "a b", "u": ["1", "2"]})

    assert Reply(b"ok", START_DATE) == reply
    assert "authorization" not in {name.lower() for name in peer.asked[0].headers}


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}, {"date": "Thu, 20 Aug 99999 02:01:40 GMT"}])
def test_server_without_a_clock(peer: Gateway, date: dict[str, str]) -> None:
    """The date is None without a valid Date header."""
    peer.become(State({"/x": Says(answer(200, b"ok", **date))}))

    assert None is get(f"http://{peer.address}/x", CLOCK).date


@pytest.mark.parametrize(
    ("played", "outcome", "detail"),
    [
        (Silence(), Outcome.TIMEOUT, "no complete response within 0.5 s"),
        (Drips(b"", HEAD, 0.05), Outcome.TIMEOUT, "no complete response within 0.5 s"),
        (DRIPPING_BODY, Outcome.TIMEOUT, "no complete response within 0.5 s"),
        (Resets(), Outcome.CONNECT, "Connection reset by peer"),
        (NO_GZIP, Outcome.NOT_JSON, "a body that cannot be decompressed"),
        (Says(answer(302, location="http://[")), Outcome.REDIRECT, "HTTP status 302"),
        (Says(answer(401)), Outcome.UNAUTHORIZED, "HTTP status 401"),
        (Says(answer(503)), Outcome.SERVER_ERROR, "HTTP status 503"),
    ],
    ids=lambda value: None,
)
def test_bad_peer(peer: Gateway, played: Answer, outcome: Outcome, detail: str) -> None:
    """Returns outcome and detail of each failure before the deadline."""
    error = ask(peer, played, SHORT if outcome is Outcome.TIMEOUT else LONG)

    assert (outcome, detail) == (error.outcome, error.detail)
    assert (int(detail[-3:]) if detail.startswith("HTTP status") else None) == error.status


def test_thread_after_a_timeout(peer: Gateway) -> None:
    """The thread of a request ends after a timeout, although the server still sends."""
    ask(peer, DRIPPING_BODY, SHORT)

    deadline = time.monotonic() + 2
    while any(thread.name == "probe" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_endless_answer(peer: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response without end fails at the size limit."""
    monkeypatch.setattr(probe, "MAX_BYTES", 200_000)

    error = ask(peer, Streams(HEAD + b"\r\n", b"x" * 65_536))

    assert (Outcome.TOO_LARGE, "more than 200000 bytes") == (error.outcome, error.detail)


def test_no_server(peer: Gateway) -> None:
    """A refused connection and an unknown host name have different outcomes."""
    refused = ask(peer, listens=False)
    with pytest.raises(ProbeError) as caught:
        get("http://nobody.invalid/", CLOCK)

    assert (Outcome.CONNECT, "Connection refused") == (refused.outcome, refused.detail)
    assert Outcome.DNS is caught.value.outcome


def test_tls(peer: Gateway, tmp_path: Path) -> None:
    """A private authority is trusted only where it is configured."""
    says = Says(answer(200, b"ok"))
    error = ask(peer, says, tls=Tls.GOOD)
    authorities = Authorities("SSL_CERT_FILE", write_authority(tmp_path / "ca.pem"))

    assert Outcome.TLS is error.outcome
    assert b"ok" == get(f"https://{peer.address}/x", CLOCK, authorities=authorities).body
    strict = ask(peer, says, authorities=authorities, tls=Tls.WANTS_CERTIFICATE_1_3)
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
    ("body", "kind", "outcome"),
    [
        (b"<html>", dict[str, int], Outcome.NOT_JSON),
        (b"\xff", dict[str, int], Outcome.NOT_JSON),
        (b"[" * 100_000, object, Outcome.NOT_JSON),
        (b'{"a":"b"}', dict[str, int], Outcome.WRONG_SHAPE),
        (b"[1]", dict[str, int], Outcome.WRONG_SHAPE),
    ],
    ids=["HTML", "bytes", "nested", "value", "array"],
)
def test_decode(body: bytes, kind: type[object], outcome: Outcome) -> None:
    """Raises for a body that is not a JSON document of the type."""
    with pytest.raises(ProbeError) as caught:
        Reply(body, None).decode(kind)

    assert outcome is caught.value.outcome


def test_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is an `internal` error."""

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(probe, "Session", fail)
    with pytest.raises(ProbeError) as caught:
        get("http://127.0.0.1:9/", CLOCK)

    assert (Outcome.INTERNAL, "ZeroDivisionError") == (caught.value.outcome, caught.value.detail)
