"""Sessions use the proxy of the environment and the authorities of the settings; failures name the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter.errors import GatewayError, Outcome
from exporter.transport.auth import HeaderAuth
from exporter.transport.authorities import Authorities
from exporter.transport.connections import ActiveConnection
from exporter.transport.failures import check_status
from exporter.transport.session import ProxiedSession, Session
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Gateway, Says, State
from tests.forwarder import Forwarder
from tests.http_server import free_port
from tests.replay import STATS, ReplayGateway, answer, recorded_body

PATH = "/x"
PLAIN = "http://another.example"
SECURE = "https://another.example"
"""The name in the certificate of `Tls.WRONG_NAME`."""
TIMEOUT = 10.0


def get(
    url: str, is_from_server: bool = True, timeout: float = TIMEOUT, authorities: Authorities | None = None
) -> bytes:
    """Return the body of a successful response."""
    session = Session(ActiveConnection())
    with session, session.open(url + STATS, timeout, authorities) as response:
        check_status(response, is_from_server)
        return response.content


def error(url: str, is_from_server: bool = True, **options: Any) -> GatewayError:
    """Return the error of a failed request."""
    with pytest.raises(GatewayError) as caught:
        get(url, is_from_server, **options)
    return caught.value


def proxy_error(url: str) -> tuple[str, bool]:
    """Return the detail of a failure of the proxy, and whether it is transient."""
    failure = error(url)
    assert Outcome.PROXY is failure.outcome
    return failure.detail, failure.is_transient


@pytest.fixture
def proxy(gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarder]:
    """A proxy for every request, with credentials."""
    with Forwarder(gateway.url.removeprefix("http://")) as forwarder:
        monkeypatch.setenv("ALL_PROXY", f"http://me:secret@{forwarder.address}")
        yield forwarder


def shown(proxy: Forwarder) -> str:
    """Return the text of the proxy in messages."""
    return f"http://***@{proxy.address} from ALL_PROXY"


def test_requests_of_a_session() -> None:
    """Each request has the current header of `auth` and the target of its URL, and no cookie of an answer."""
    headers = iter(("one", None, "three"))
    bodies = {path: answer(200, b"[]", set_cookie="a=b") for path in (STATS, PATH)}
    with ReplayGateway(bodies) as gateway, Session(ActiveConnection()) as session:
        session.auth = HeaderAuth(lambda: next(headers))
        for path in (STATS, STATS, PATH):
            session.open(gateway.url + path, TIMEOUT, None).close()

        asked = [(one.path, one.authorization, one.headers.get("Cookie")) for one in gateway.asked]
    assert [(STATS, "one", None), (STATS, None, None), (PATH, "three", None)] == asked


def test_forwarded(proxy: Forwarder) -> None:
    """An http:// request is sent through the proxy, with its credentials."""
    assert recorded_body("07-stats.http") == get(PLAIN)
    assert [PLAIN + STATS] == proxy.targets
    assert "Basic bWU6c2VjcmV0" == proxy.asked[0].headers["Proxy-Authorization"]


@pytest.fixture
def server(proxy: Forwarder) -> Iterator[Gateway]:
    """The server at the end of the proxy's tunnel."""
    with Gateway() as running:
        proxy.server = running.address
        yield running


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    """The authority of the server."""
    return Authorities("REQUESTS_CA_BUNDLE", write_authority(tmp_path / "ca.pem"))


def test_tunnel(proxy: Forwarder, server: Gateway, authorities: Authorities) -> None:
    """An https:// request is sent through a tunnel."""
    server.become(State(tls=Tls.WRONG_NAME))

    assert recorded_body("07-stats.http") == get(SECURE, authorities=authorities)
    assert ["another.example:443"] == proxy.targets
    assert "Proxy-Authorization" not in server.asked[0].headers


def test_failures_in_the_tunnel(server: Gateway, authorities: Authorities) -> None:
    """An untrusted certificate and a 407 in a tunnel are failures of the server, not of the proxy."""
    server.become(State(tls=Tls.UNTRUSTED))
    untrusted = error(SECURE, authorities=authorities)
    server.become(State({STATS: Says(answer(407))}, tls=Tls.WRONG_NAME))

    assert Outcome.TLS is untrusted.outcome
    assert Outcome.CLIENT_ERROR is error(SECURE, False, authorities=authorities).outcome


def test_direct(proxy: Forwarder, gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in NO_PROXY is requested directly, also in a form that requests ignores."""
    monkeypatch.setenv("NO_PROXY", "*.example:80")

    assert Outcome.DNS is error(PLAIN).outcome
    assert recorded_body("07-stats.http") == get(gateway.url)
    assert [] == proxy.targets


@pytest.mark.parametrize(
    ("status", "is_transient"),
    [(403, False), (407, False), (500, False), (502, True), (503, True), (504, True)],
)
def test_connect_refused_by_the_proxy(proxy: Forwarder, status: int, is_transient: bool) -> None:
    """A refused tunnel names the proxy and its status; 502, 503 and 504 are transient."""
    proxy.refusal = answer(status, b"secret page")

    expected = f"{shown(proxy)}: HTTP status {status} to CONNECT"
    assert (expected, is_transient) == proxy_error(SECURE)


@pytest.mark.parametrize(
    ("refusal", "detail"),
    [
        (b"", "closed without an answer"),
        (b"220 mail.example ESMTP\r\n", "the answer is not HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "headers that are too long or too many"),
    ],
    ids=["nothing", "other protocol", "long header"],
)
def test_connect_answered_by_nonsense(proxy: Forwarder, refusal: bytes, detail: str) -> None:
    """An invalid answer to CONNECT names the proxy."""
    proxy.refusal = refusal

    assert f"{shown(proxy)}: {detail}" == proxy_error(SECURE)[0]


@pytest.mark.parametrize("url", [PLAIN, SECURE], ids=["plain", "TLS"])
def test_dead_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not listen is named, and transient."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("ALL_PROXY", address)

    assert (f"http://{address} from ALL_PROXY: Connection refused", True) == proxy_error(url)


@pytest.mark.parametrize("url", [PLAIN, SECURE], ids=["plain", "TLS"])
def test_unknown_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy name that does not resolve is not reported as the server's."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:3128")

    detail, is_transient = proxy_error(url)

    assert detail.startswith("http://proxy.invalid:3128 from ALL_PROXY: ")
    assert is_transient


def test_proxy_without_tls(proxy: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS to a proxy without TLS is a failure of the proxy, and not transient."""
    monkeypatch.setenv("ALL_PROXY", f"https://{proxy.address}")

    assert (f"https://{proxy.address} from ALL_PROXY: wrong version number", False) == proxy_error(SECURE)


def test_authentication_required(proxy: Forwarder) -> None:
    """Status 407 of a forwarded request is the proxy's."""
    proxy.refusal = answer(407, b"{}", x_request_id="req_1")

    assert f"{shown(proxy)}: HTTP status 407" == proxy_error(PLAIN)[0]


def test_silent_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that accepts and does not answer is a timeout."""
    with ReplayGateway(silent=True) as silent:
        monkeypatch.setenv("ALL_PROXY", silent.url)

        assert Outcome.TIMEOUT is error(SECURE, timeout=0.2).outcome


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_authorities_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A `ProxiedSession` ignores the authorities of the environment."""
    authority = str(write_authority(tmp_path / "ca.pem"))
    monkeypatch.setenv(name, authority)
    with Gateway() as peer, ProxiedSession() as session:
        peer.become(State({PATH: Says(answer(200, b"ok"))}, tls=Tls.GOOD))
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://{peer.address}{PATH}", timeout=5)
        monkeypatch.setenv(name, str(tmp_path / "nothing.pem"))
        session.verify = authority

        assert b"ok" == session.get(f"https://{peer.address}{PATH}", timeout=5).content


def test_proxies_of_the_environment(gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `ProxiedSession` uses the proxy of the environment, except for hosts in NO_PROXY."""
    monkeypatch.setenv("http_proxy", gateway.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    gateway.answers = {"http://collector.example/x": answer(200), PATH: answer(200)}
    with ProxiedSession() as session:
        session.get("http://collector.example/x", timeout=5)
        session.get(f"{gateway.url}{PATH}", timeout=5)

    assert ["http://collector.example/x", PATH] == gateway.targets
