"""Authentication, rate limits and response headers, on real sockets."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import bcrypt
import pytest

from exporter.webconfig import passwords
from exporter.webconfig.authentication import TokenBucket
from exporter.webconfig.config import RateLimit
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.clocks import MovedClock
from tests.webserver import GOOD, serve

USERS: Mapping[str, Any] = {"basic_auth_users": {USER: hashed()}}
HEADERS = {"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "deny"}


# Passwords


def test_passwords(folder: Folder) -> None:
    """With users, every route but the health routes requires a password, by the challenge of RFC 7617."""
    challenge = 'Basic realm="provider-metrics-exporter", charset="UTF-8"'
    with serve(folder, **USERS) as web:
        for path in ("/", "/metrics"):
            assert 200 == web.get(path, auth=GOOD).status_code
            for auth in (None, (USER, "wrong"), ("nobody", PASSWORD), ("", "")):
                refused = web.get(path, auth=auth)
                assert (401, "Unauthorized\n") == (refused.status_code, refused.text)
                assert challenge == refused.headers["WWW-Authenticate"]
        assert [200, 200] == [web.get(f"/-/{name}").status_code for name in ("healthy", "ready")]
        assert ["/", "/metrics", "/-/healthy", "/-/ready"] == web.asked


@pytest.mark.parametrize("path", ["/nothing", "/-/healthy/", "//-/healthy", "/-/./healthy"])
def test_unknown_paths(folder: Folder, path: str) -> None:
    """Unknown paths and spellings of health paths require a password."""
    with serve(folder, **USERS) as web, socket.create_connection(("127.0.0.1", web.port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())

        assert raw.recv(65_536).startswith(b"HTTP/1.1 401 ")


def encoded(text: bytes) -> str:
    """Return text in base64."""
    return base64.b64encode(text).decode()


TOKEN = encoded(b"prometheus:sesame")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Basic {TOKEN}", 200),
        (f"bAsIc {TOKEN}", 200),
        (f"Basic  {TOKEN}", 200),
        (f"Bearer {TOKEN}", 401),
        (TOKEN, 401),
        *[(header, 401) for header in ("Basic", "Basic ", "Basic !!!", "Basic abc", "Basic \xff\xfe")],
        (f"Basic !{TOKEN}", 401),
        (f"Basic {encoded(b'prometheus')}", 401),
        (f"Basic {encoded(b':')}", 401),
        (f"Basic {encoded(bytes(range(256)) + b':x')}", 401),
        (f"Basic {encoded(b'prometheus:' + b'a' * 30_000)}", 401),
    ],
)
def test_authorization_headers(folder: Folder, header: str, status: int) -> None:
    """Any header gets a response, never an exception."""
    with serve(folder, **USERS) as web:
        assert status == web.get("/", headers={"Authorization": header.encode("latin-1")}).status_code


def test_protected_health_routes(folder: Folder) -> None:
    """The health routes can require a password, too, and then have the rate limit."""
    limit = {"interval": "10s", "burst": 4}
    with serve(folder, protect_health=True, **USERS, rate_limit=limit) as web:
        for path in ("/-/healthy", "/-/ready"):
            assert [401, 200] == [web.get(path, auth=auth).status_code for auth in (None, GOOD)]
        assert 429 == web.get("/-/healthy").status_code


def test_cached_password(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is compared once, also after a reload with the same users."""
    compared = Mock(wraps=bcrypt.checkpw)
    with serve(folder, **USERS) as web:
        monkeypatch.setattr(bcrypt, "checkpw", compared)
        assert [200] * 3 == [web.get(auth=GOOD).status_code for _ in range(3)]
        assert 1 == compared.call_count

        folder.write(**USERS, http_server_config={"headers": HEADERS})
        web.check()
        assert [200] * 3 == [web.get(auth=GOOD).status_code for _ in range(3)]

    # The reload itself tests the hash once, at the lowest cost.
    assert 2 == compared.call_count


def test_too_many_passwords(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue is 503 for new passwords, not for cached ones."""
    with serve(folder, **USERS) as web:
        assert 200 == web.get(auth=GOOD).status_code
        monkeypatch.setattr(passwords, "MAX_WAITING", 0)
        response = web.get(auth=(USER, "wrong"))

        assert (503, "1") == (response.status_code, response.headers["Retry-After"])
        assert 200 == web.get(auth=GOOD).status_code


# Headers


def test_headers(folder: Folder) -> None:
    """Every response has the configured headers once, in place of its own."""
    limit = {"interval": "1h", "burst": 6}
    with serve(folder, **USERS, http_server_config={"headers": HEADERS}, rate_limit=limit) as web:
        answers = [web.get(), *(web.get(path, auth=GOOD) for path in ("/", "/nothing", "/bug"))]
        answers += [web.request(method, auth=GOOD) for method in ("POST", "HEAD", "GET")]
        answers += [web.get("/-/healthy")]

    assert [401, 200, 404, 500, 405, 200, 429, 200] == [answer.status_code for answer in answers]
    for answer in answers:
        # requests joins a header that is there twice.
        assert HEADERS == {name: answer.headers[name] for name in HEADERS}
    assert "no-store" == answers[1].headers["Cache-Control"]


def test_new_headers(folder: Folder) -> None:
    """Changed headers are used without a restart; other headers of the response stay."""
    with serve(folder, http_server_config={"headers": HEADERS}) as web:
        folder.write(http_server_config={"headers": {"X-Frame-Options": "sameorigin"}})
        web.check()
        response = web.get()

    expected = {"Content-Security-Policy": "own", "X-Frame-Options": "sameorigin"}
    assert expected == {name: response.headers[name] for name in HEADERS}


# Rate limit


def test_rate_limit(folder: Folder) -> None:
    """Requests beyond the burst are 429 until a token is added; health routes have no limit."""
    with serve(folder, rate_limit={"interval": "10s", "burst": 2}) as web:
        assert [200, 200, 429] == [web.get().status_code for _ in range(3)]
        rejected = web.get()
        assert ("10", "Too Many Requests\n") == (rejected.headers["Retry-After"], rejected.text)
        assert [200] * 5 == [web.get("/-/healthy").status_code for _ in range(5)]

        web.clock.now += 10
        assert [200, 429] == [web.get().status_code for _ in range(2)]


def test_rate_limit_of_wrong_passwords(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the toolkit, the rate limit is checked first: a rejected request costs no comparison."""
    compare = Mock(return_value=False)
    with serve(folder, **USERS, rate_limit={"interval": "10s", "burst": 2}) as web:
        monkeypatch.setattr(bcrypt, "checkpw", compare)
        answers = [web.get(auth=(USER, str(number))).status_code for number in range(4)]

    assert ([401, 401, 429, 429], [b"0", b"1"]) == (answers, [call.args[0] for call in compare.mock_calls])


def test_token_bucket(clock: MovedClock) -> None:
    """Tokens are added one by one up to the burst; a rejected request takes none."""
    bucket = TokenBucket(RateLimit(interval=2.0, burst=3), clock)
    assert [0, 0, 0, 2] == [bucket.take() for _ in range(4)]

    clock.now += 1
    assert [1, 1] == [bucket.take(), bucket.take()]
    clock.now += 1
    assert [0, 2] == [bucket.take(), bucket.take()]
    clock.now += 1000
    assert [0, 0, 0, 2] == [bucket.take() for _ in range(4)]
