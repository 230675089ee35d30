"""A real Prometheus scrapes an exporter that asks for TLS, a client's certificate and a password.

tests/webconfig/ tests what is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from exporter.metrics.instruments import CERTIFICATE_EXPIRY
from tests.certificates import MUTUAL, PASSWORD, USER, Folder, hashed
from tests.process import Program, program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.chain import OWN
from tests.stack.servers import Programs, Server
from tests.waiting import wait_until

SAN = "prometheus.example"
UP = 'up{job="provider_metrics"}'


def access(ca: str, cert: str) -> str:
    """Return what the job of the exporter needs in prom.yml, as docs/security.md has it."""
    return f"""scheme: https
    basic_auth:
      username: {USER}
      password: {PASSWORD}
    tls_config:
      ca_file: {ca}
      cert_file: {cert}
      key_file: {cert}"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The folder of a web configuration file that asks for everything."""
    made = Folder(tmp_path)
    made.write(tls={**MUTUAL, "client_allowed_sans": [SAN]}, basic_auth_users={USER: hashed()})
    made.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


@pytest.fixture
def exporter(folder: Folder, gateway: ReplayGateway) -> Iterator[Program]:
    """An exporter with this file."""
    with program(GATEWAY_API_URL=gateway.url, WEB_CONFIG_FILE=str(folder.file), **OWN) as running:
        yield running


@pytest.fixture
def prometheus(programs: Programs, folder: Folder, exporter: Program) -> Iterator[Server]:
    """A Prometheus with a certificate and the password."""
    changes = {
        "scheme: http": access(str(folder.path / "ca.pem"), folder.client(SAN)),
        # Longer than an idle connection lives, so that each scrape is a handshake.
        "scrape_interval: 60s": "scrape_interval: 6s",
    }
    home = folder.path / "prometheus"
    with servers.prometheus(programs, home, servers.Ports(), exporter.address(), changes) as server:
        wait_until(lambda: server.value(UP) == 1)
        yield server


def test_right_certificate_and_password(prometheus: Server) -> None:
    """Who has both scrapes every metric."""
    assert 40 == prometheus.value("gatewayz_providers_total")
    assert wait_until(lambda: prometheus.value(f'{CERTIFICATE_EXPIRY.name}{{file="cert_file"}}'))


def test_certificate_of_a_new_authority(folder: Folder, exporter: Program, prometheus: Server) -> None:
    """When the exporter's certificate is exchanged, a Prometheus goes on as soon as it trusts the new one."""
    folder.authority = trustme.CA()
    folder.renew()
    wait_until(lambda: prometheus.value(UP) == 0)
    error = prometheus.targets()["provider_metrics"]["lastError"]
    assert "certificate signed by unknown authority" in error
    exporter.record("Web config reloaded")

    folder.replace("ca.pem", folder.authority.cert_pem.bytes())
    assert wait_until(lambda: prometheus.value(UP) == 1)
