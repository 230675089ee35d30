"""The stack where Docker's client configuration sets a proxy in every container."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.forwarder import Forwarder
from tests.http_server import Asked, Connection, StubServer, answer
from tests.namespaces import require_namespaces
from tests.process import program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.chain import exporter_environment
from tests.stack.compose import Compose, Tree
from tests.stack.loki import LokiStandIn
from tests.stack.servers import Ports, Programs, Server
from tests.stack.substitution import ROOT
from tests.stack.tempo import TempoStandIn
from tests.waiting import wait_until

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
HOSTS = "127.0.0.1 localhost loki tempo\n"
"""No program uses a proxy for an address of the loopback, but all do for a name, whatever its address."""
WITH_HOSTS = ("unshare", "--mount", "--", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
CHECKED = ("prometheus", "alertmanager", "grafana", "demo-gateway")
"""Whose health check asks by HTTP."""


class Healthy(StubServer):
    """Answers every request with 200."""

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer."""
        connection.send(answer(200, b"OK", connection="close"))
        return False


@pytest.fixture
def proxy() -> Iterator[Forwarder]:
    """A proxy that refuses everything, as one does that does not know the names of containers."""
    with Forwarder(server="127.0.0.1:9", refusal=answer(403, connection="close")) as running:
        yield running


@pytest.fixture(scope="module")
def services(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The services of the demo."""
    compose = Compose(programs["compose"], tmp_path_factory.mktemp("compose"), "docker-compose.yml")
    return compose.services(ROOT / ".env.demo")


def of_docker(proxy: Forwarder, service: Mapping[str, Any] | None = None) -> Mapping[str, str]:
    """Return the variables of a container: those of Docker's configuration, below those of its service."""
    named = {name: proxy.url for pair in NAMES for name in (pair, pair.lower())}
    own = service["environment"] if service else {}
    return {"PATH": os.environ["PATH"], **named, **{name: own[name] for name in own if name.upper() in named}}


@pytest.mark.needs("busybox")
@pytest.mark.parametrize("name", CHECKED)
def test_health_check(services: Tree, proxy: Forwarder, name: str) -> None:
    """It asks its server; that of an image with wget does so whatever the variables are."""
    service = services[name]
    _, tool, *arguments = service["healthcheck"]["test"]
    command = {"wget": ["busybox", "wget"], "python": [sys.executable]}[tool]
    with Healthy() as server:
        ports = {"9090": server.port, "9093": server.port, "3000": server.port, "8080": server.port}
        for number, own in ports.items():
            arguments = [text.replace(f":{number}/", f":{own}/") for text in arguments]
        environment = of_docker(proxy, None if tool == "wget" else service)
        result = subprocess.run([*command, *arguments], env=environment, timeout=30, check=False)

    assert (0, 1, []) == (result.returncode, len(server.asked), proxy.asked)


@pytest.mark.parametrize("sets_proxies", [True, False], ids=["as configured", "without its variables"])
def test_collector(
    programs: Programs, services: Tree, proxy: Forwarder, tmp_path: Path, sets_proxies: bool
) -> None:
    """Traces and log records reach Tempo and Loki; without the service's variables the proxy is asked."""
    require_namespaces()
    ports = Ports()
    environment = of_docker(proxy, services["otel-collector"] if sets_proxies else None)
    with ExitStack() as links:
        gateway = links.enter_context(ReplayGateway())
        tempo = links.enter_context(TempoStandIn())
        logs = links.enter_context(LokiStandIn(port=ports.loki))
        collector = servers.collector(programs, tmp_path / "otelcol", ports, tempo.port)
        by_name(collector, {"tempo": tempo.port, "loki": ports.loki}, environment)
        links.enter_context(collector)
        links.enter_context(program(**exporter_environment(gateway.url, ports)))

        if sets_proxies:
            assert wait_until(lambda: tempo.spans and logs.records)
            assert [] == proxy.asked
        else:
            wanted = {f"tempo:{tempo.port}", f"loki:{ports.loki}"}
            assert wait_until(lambda: wanted <= {reached(asked) for asked in proxy.asked})


def reached(asked: Asked) -> str:
    """Return host and port that a proxy is asked for, by CONNECT or with a whole URL."""
    return urlsplit(asked.target if "//" in asked.target else f"//{asked.target}").netloc


def by_name(server: Server, ports: Mapping[str, int], environment: Mapping[str, str]) -> None:
    """Let a server reach others by the names of containers, with the variables of its own."""
    (config,) = server.folder.glob("*.yaml")
    text = config.read_text(encoding="utf-8")
    for name, port in ports.items():
        text = text.replace(f"127.0.0.1:{port}", f"{name}:{port}")
    config.write_text(text, encoding="utf-8")
    hosts = server.folder / "hosts"
    hosts.write_text(HOSTS, encoding="utf-8")
    server.command = [*WITH_HOSTS, str(hosts), *server.command]
    server.environment = environment


def test_notifications(programs: Programs, proxy: Forwarder, tmp_path: Path) -> None:
    """Alertmanager sends notifications by the proxy of its variables."""
    (tmp_path / "url").write_text("http://hooks.example.com/watchdog\n", encoding="utf-8")
    variables = {"HTTP_PROXY": proxy.url, "WATCHDOG_URL_FILE": str(tmp_path / "url")}
    folder = tmp_path / "alertmanager"
    with servers.alertmanager(programs, folder, Ports(), **variables) as alertmanager:
        alert = {"labels": {"alertname": "GatewayzWatchdog"}}
        requests.post(f"{alertmanager.url}/api/v2/alerts", json=[alert], timeout=10).raise_for_status()

        assert wait_until(lambda: {"http://hooks.example.com/watchdog"} == {*proxy.targets})
