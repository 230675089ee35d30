"""Sessions of `requests`, and what of the environment they use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from exporter.authorities import Authorities
from exporter.transport import ProxiedSession, trusted
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Gateway, Says, State
from tests.replay import ReplayGateway, answer

PATH = "/x"


@pytest.fixture
def peer() -> Iterator[Gateway]:
    """A server with a certificate of a private authority."""
    with Gateway() as running:
        running.become(State({PATH: Says(answer(200, b"ok"))}, tls=Tls.GOOD))
        yield running


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_authorities_of_the_environment(
    peer: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A session that uses proxies alone trusts what it is told to, and never what the environment names."""
    authority = str(write_authority(tmp_path / "ca.pem"))
    monkeypatch.setenv(name, authority)
    with ProxiedSession() as session:
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://{peer.address}{PATH}", timeout=5)
        monkeypatch.setenv(name, str(tmp_path / "nothing.pem"))
        session.verify = authority

        assert b"ok" == session.get(f"https://{peer.address}{PATH}", timeout=5).content


def test_proxies_of_the_environment(gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends by the proxy of the environment, but not to the hosts that are exempt from it."""
    monkeypatch.setenv("http_proxy", gateway.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    gateway.answers = {"http://collector.example/x": answer(200), PATH: answer(200)}
    with ProxiedSession() as session:
        session.get("http://collector.example/x", timeout=5)
        session.get(f"{gateway.url}{PATH}", timeout=5)

    assert ["http://collector.example/x", PATH] == gateway.targets


def test_trusted(tmp_path: Path) -> None:
    """What a request trusts is never left to the environment: it is a path in either case."""
    assert str(tmp_path) == trusted(Authorities("SSL_CERT_DIR", tmp_path))
    assert Path(trusted(None)).is_file()
