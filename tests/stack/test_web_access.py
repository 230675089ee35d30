"""A real Prometheus scrapes an exporter that asks for TLS, a client's certificate and a password."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.metrics.instruments import CERTIFICATE_EXPIRY
from tests.certificates import MUTUAL, PASSWORD, USER, Folder, hashed
from tests.process import Program, program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.servers import Server, wait_until

SAN = "prometheus.example"
UP = 'up{job="provider_metrics"}'


@dataclass
class Guarded:
    """An exporter that asks for everything, and the folder of its web configuration file."""

    folder: Folder
    exporter: Program
    prometheus: Callable[..., Server]
    """Starts a Prometheus, with another password, client certificate or interval where they are given."""


def access(ca: str, cert: str, password: str) -> str:
    """Return what the job of the exporter needs in prom.yml, as docs/security.md has it."""
    return f"""scheme: https
    basic_auth:
      username: {USER}
      password: {password}
    tls_config:
      ca_file: {ca}
      cert_file: {cert}
      key_file: {cert}"""


@pytest.fixture
def guarded(programs: Mapping[str, Path], gateway: ReplayGateway, tmp_path: Path) -> Iterator[Guarded]:
    """An exporter, and whoever scrapes it."""
    folder = Folder(tmp_path)
    tls = {**MUTUAL, "client_allowed_sans": [SAN]}
    path = folder.write(tls=tls, basic_auth_users={USER: hashed()})
    folder.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    environment = {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": "test-admin-key",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "WEB_CONFIG_FILE": str(path),
    }
    with program(**environment) as running, ExitStack() as started:
        port = running.record("Listening")["port"]

        def prometheus(password: str = PASSWORD, cert: str = "", interval: str = "1s") -> Server:
            changes = {
                "scheme: http": access(str(tmp_path / "ca.pem"), cert or folder.client(SAN), password),
                "scrape_interval: 60s": f"scrape_interval: {interval}",
            }
            home = tmp_path / f"prometheus-{len(list(tmp_path.glob('prometheus-*')))}"
            return started.enter_context(
                servers.prometheus(programs, home, servers.Ports(), f"127.0.0.1:{port}", changes)
            )

        yield Guarded(folder, running, prometheus)


def value(server: Server, expression: str) -> float | None:
    """Return the value of an instant query, None while there is none."""
    result: list[Mapping[str, Any]] = server.get("/api/v1/query", query=expression)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def error(server: Server) -> str:
    """Return what Prometheus says of its last scrape of the exporter."""
    targets = server.get("/api/v1/targets")["data"]["activeTargets"]
    (found,) = [target for target in targets if target["labels"]["job"] == "provider_metrics"]
    return str(found["lastError"])


def test_right_certificate_and_password(guarded: Guarded) -> None:
    """Who has both scrapes as ever."""
    server = guarded.prometheus()

    assert wait_until(lambda: value(server, UP) == 1)
    assert 40 == wait_until(lambda: value(server, "gatewayz_providers_total"))
    assert wait_until(lambda: value(server, f'{CERTIFICATE_EXPIRY.name}{{file="cert_file"}}'))


def test_wrong_password(guarded: Guarded) -> None:
    """Who has the certificate and a wrong password does not."""
    server = guarded.prometheus(password="wrong")

    assert wait_until(lambda: value(server, UP) == 0)
    assert "server returned HTTP status 401 Unauthorized" == error(server)


@pytest.mark.parametrize("kind", ["another authority", "another name"])
def test_wrong_certificate(guarded: Guarded, kind: str) -> None:
    """Who has the password and a wrong certificate does not, either."""
    folder = guarded.folder
    cert = (
        folder.client(SAN, by=trustme.CA()) if kind == "another authority" else folder.client("other.example")
    )
    server = guarded.prometheus(cert=cert)

    assert wait_until(lambda: value(server, UP) == 0)
    assert "401" not in error(server)


def test_certificate_of_a_new_authority(guarded: Guarded) -> None:
    """When the exporter's certificate is exchanged, a Prometheus goes on as soon as it trusts the new one."""
    # Longer than an idle connection lives, so that each scrape is a handshake.
    server = guarded.prometheus(interval="6s")
    assert wait_until(lambda: value(server, UP) == 1)

    guarded.folder.authority = trustme.CA()
    guarded.folder.renew()
    assert wait_until(lambda: value(server, UP) == 0)
    assert "certificate signed by unknown authority" in error(server)
    guarded.exporter.record("Web config reloaded")

    guarded.folder.replace("ca.pem", guarded.folder.authority.cert_pem.bytes())
    assert wait_until(lambda: value(server, UP) == 1)


def test_new_password(guarded: Guarded) -> None:
    """When the password is changed, who sends the old one is turned away without a restart."""
    server = guarded.prometheus()
    assert wait_until(lambda: value(server, UP) == 1)

    tls = {**MUTUAL, "client_allowed_sans": [SAN]}
    guarded.folder.write(tls=tls, basic_auth_users={USER: hashed("new")})

    assert wait_until(lambda: value(server, UP) == 0)
    assert "server returned HTTP status 401 Unauthorized" == error(server)
