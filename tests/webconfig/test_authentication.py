"""Passwords, rates and headers, on real sockets: who may come in, and how answers leave."""

from __future__ import annotations

import base64
import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from exporter.webconfig import passwords
from exporter.webconfig.authentication import TokenBucket
from exporter.webconfig.config import RateLimit
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.clocks import MovedClock
from tests.doors import GOOD, House, house

USERS: Mapping[str, Any] = {"basic_auth_users": {USER: hashed()}}
HEADERS = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "deny"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with new certificates."""
    return Folder(tmp_path)


@contextlib.contextmanager
def opened(folder: Folder, protect_health: bool = False, **sections: Any) -> Iterator[House]:
    """Open the doors with the given sections."""
    folder.write(**sections)
    with house(folder, protect_health=protect_health) as inside:
        yield inside


# Passwords


def test_passwords(folder: Folder) -> None:
    """With users in the file every route but the health routes asks for a password."""
    with opened(folder, **USERS) as inside:
        for path in ("/", "/metrics"):
            assert 200 == inside.get(path, auth=GOOD).status_code
            for auth in (None, (USER, "wrong"), ("nobody", PASSWORD), ("", "")):
                assert 401 == inside.get(path, auth=auth).status_code
        assert [200, 200] == [inside.get(f"/-/{name}").status_code for name in ("healthy", "ready")]
        assert ["/", "/metrics", "/-/healthy", "/-/ready"] == inside.asked


@pytest.mark.parametrize("path", ["/nothing", "/-/healthy/", "//-/healthy", "/-/./healthy"])
def test_unknown_paths_are_protected(folder: Folder, path: str) -> None:
    """Who may not come in does not learn what is there, nor gets in by an odd spelling."""
    with opened(folder, **USERS) as inside, socket.create_connection(("127.0.0.1", inside.port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())

        assert raw.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_challenge(folder: Folder) -> None:
    """The answer says what is asked for, in the way of RFC 7617."""
    with opened(folder, **USERS) as inside:
        response = inside.get("/metrics")

    assert 'Basic realm="provider-metrics-exporter", charset="UTF-8"' == response.headers["WWW-Authenticate"]
    assert "User and password, please.\n" == response.text


def encoded(text: bytes) -> str:
    """Return text in base64."""
    return base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Basic {encoded(b'prometheus:sesame')}", 200),
        (f"bAsIc {encoded(b'prometheus:sesame')}", 200),
        (f"Basic  {encoded(b'prometheus:sesame')}", 200),
        (f"Bearer {encoded(b'prometheus:sesame')}", 401),
        (encoded(b"prometheus:sesame"), 401),
        ("Basic", 401),
        ("Basic ", 401),
        ("Basic !!!", 401),
        ("Basic abc", 401),
        (f"Basic !{encoded(b'prometheus:sesame')}", 401),
        ("Basic \xff\xfe", 401),
        (f"Basic {encoded(b'prometheus')}", 401),
        (f"Basic {encoded(b':')}", 401),
        (f"Basic {encoded(bytes(range(256)) + b':x')}", 401),
        (f"Basic {encoded(b'prometheus:' + b'a' * 30_000)}", 401),
    ],
    ids=range(15),
)
def test_authorization_headers(folder: Folder, header: str, status: int) -> None:
    """Whatever is in the header is an answer and never an error."""
    with opened(folder, **USERS) as inside:
        assert status == inside.get("/", headers={"Authorization": header.encode("latin-1")}).status_code


def test_protected_health_routes(folder: Folder) -> None:
    """Where it is asked for, the health routes ask for a password, too."""
    with opened(folder, protect_health=True, **USERS) as inside:
        for path in ("/-/healthy", "/-/ready"):
            assert [401, 200] == [inside.get(path, auth=auth).status_code for auth in (None, GOOD)]


def test_scrapes_compare_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scraper's password is compared at its first scrape alone, even when all but the users changes."""
    seen: list[bytes] = []
    checkpw = bcrypt.checkpw

    def counted(password: bytes, digest: bytes) -> bool:
        seen.append(digest)
        return checkpw(password, digest)

    with opened(folder, **USERS) as inside:
        monkeypatch.setattr(bcrypt, "checkpw", counted)
        assert [200] * 3 == [inside.get(auth=GOOD).status_code for _ in range(3)]
        assert 1 == len(seen)

        folder.write(**USERS, http_server_config={"headers": HEADERS})
        inside.look()
        seen.clear()
        assert [200] * 3 == [inside.get(auth=GOOD).status_code for _ in range(3)]

    # It is the reading's own trial of the hash, at the lowest cost.
    assert 1 == len(seen)


def test_new_users(folder: Folder) -> None:
    """A changed password is in force without a restart, and the old one is not any more."""
    with opened(folder, **USERS) as inside:
        assert 200 == inside.get(auth=GOOD).status_code
        folder.write(basic_auth_users={USER: hashed("new"), "second": hashed()})
        inside.look()

        assert [401, 200, 200] == [
            inside.get(auth=auth).status_code for auth in (GOOD, (USER, "new"), ("second", PASSWORD))
        ]


def test_broken_file(folder: Folder) -> None:
    """A file that cannot be used leaves the users of the last good one, and a good one repairs it."""
    with opened(folder, **USERS) as inside:
        folder.replace("web.yml", b"basic_auth_users: {prometheus: plain}")
        inside.look()
        assert [200, 401] == [inside.get(auth=auth).status_code for auth in (GOOD, (USER, "plain"))]
        assert [False] == inside.told

        folder.write(basic_auth_users={USER: hashed("new")})
        inside.look()
        assert [401, 200] == [inside.get(auth=auth).status_code for auth in (GOOD, (USER, "new"))]


def test_too_many_passwords(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would have to wait behind too many others is told to come back; who is known is not."""
    with opened(folder, **USERS) as inside:
        assert 200 == inside.get(auth=GOOD).status_code
        monkeypatch.setattr(passwords, "MAX_WAITING", 0)
        response = inside.get(auth=(USER, "wrong"))

        assert (503, "1") == (response.status_code, response.headers["Retry-After"])
        assert 200 == inside.get(auth=GOOD).status_code


# Headers


def test_headers_are_on_every_answer(folder: Folder) -> None:
    """The headers of the file are on good answers and on errors, once each, in the place of our own."""
    limit = {"interval": "1h", "burst": 6}
    with opened(folder, **USERS, http_server_config={"headers": HEADERS}, rate_limit=limit) as inside:
        answers = [
            inside.get(auth=GOOD),
            inside.get(),
            inside.get("/nothing", auth=GOOD),
            inside.get("/bug", auth=GOOD),
            inside.request("POST", auth=GOOD),
            inside.request("HEAD", auth=GOOD),
            inside.get(auth=GOOD),
            inside.get("/-/healthy"),
        ]

    assert [200, 401, 404, 500, 405, 200, 429, 200] == [answer.status_code for answer in answers]
    for answer in answers:
        # requests joins a header that is there twice.
        assert HEADERS == {name: answer.headers[name] for name in HEADERS}
    assert "no-store" == answers[0].headers["Cache-Control"]


def test_own_headers_without_a_file(folder: Folder) -> None:
    """Without headers in the file our own stay."""
    with opened(folder) as inside:
        assert "own" == inside.get().headers["Content-Security-Policy"]


def test_new_headers(folder: Folder) -> None:
    """Changed headers are in force without a restart."""
    with opened(folder, http_server_config={"headers": HEADERS}) as inside:
        folder.write(http_server_config={"headers": {"X-Frame-Options": "sameorigin"}})
        inside.look()
        response = inside.get()

    assert ("own", "sameorigin") == (
        response.headers["Content-Security-Policy"],
        response.headers["X-Frame-Options"],
    )


# Rate limit


def test_rate_limit(folder: Folder) -> None:
    """Beyond the burst requests are turned away until the time has come; health routes never are."""
    with opened(folder, rate_limit={"interval": "10s", "burst": 2}) as inside:
        assert [200, 200, 429] == [inside.get().status_code for _ in range(3)]
        turned_away = inside.get()
        assert ("10", "Too many requests.\n") == (turned_away.headers["Retry-After"], turned_away.text)
        assert [200] * 5 == [inside.get("/-/healthy").status_code for _ in range(5)]

        inside.clock.now += 10
        assert [200, 429] == [inside.get().status_code for _ in range(2)]


def test_rate_limit_of_protected_health_routes(folder: Folder) -> None:
    """Health routes that ask for a password are no way to try passwords past the limit."""
    limit = {"interval": "10s", "burst": 2}
    with opened(folder, protect_health=True, **USERS, rate_limit=limit) as inside:
        assert [401, 401, 429] == [inside.get("/-/healthy").status_code for _ in range(3)]


def test_wrong_passwords_use_the_rate_up(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the toolkit the rate comes first: who is turned away costs no comparison."""
    seen: list[bytes] = []

    def refuse(password: bytes, digest: bytes) -> bool:
        seen.append(password)
        return False

    with opened(folder, **USERS, rate_limit={"interval": "10s", "burst": 2}) as inside:
        monkeypatch.setattr(bcrypt, "checkpw", refuse)
        answers = [inside.get(auth=(USER, str(number))).status_code for number in range(4)]

    assert ([401, 401, 429, 429], [b"0", b"1"]) == (answers, seen)


def test_token_bucket(clock: MovedClock) -> None:
    """Tokens come one by one, never more than the burst, and a request in vain takes none."""
    bucket = TokenBucket(RateLimit(interval=2.0, burst=3), clock)
    assert [0, 0, 0, 2] == [bucket.take() for _ in range(4)]

    clock.now += 1
    assert [1, 1] == [bucket.take(), bucket.take()]
    clock.now += 1
    assert [0, 2] == [bucket.take(), bucket.take()]
    clock.now += 1000
    assert [0, 0, 0, 2] == [bucket.take() for _ in range(4)]
