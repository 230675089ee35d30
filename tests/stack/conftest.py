"""The stack, started once for all tests of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.process import Program, program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.build import NoToolchainError, build_all
from tests.stack.tempo import TempoStandIn

KEY = "test-admin-key"


@dataclass
class Stack:
    """The running servers, the receiver in Tempo's place, and the exporter between them and its gateway."""

    gateway: ReplayGateway
    tempo: TempoStandIn
    ports: servers.Ports
    loki: servers.Server
    collector: servers.Server
    alertmanager: servers.Server
    exporter: Program
    exporter_address: str

    def exporter_environment(self, **more: str) -> dict[str, str]:
        """Return the environment of an exporter in this stack."""
        return exporter_environment(self.gateway, self.ports, **more)

    def scrape(self) -> str:
        """Return the exporter's exposition in the text format."""
        return requests.get(f"http://{self.exporter_address}/metrics", timeout=5).text

    def log_lines(self, query: str, **parameters: Any) -> list[tuple[Mapping[str, str], str]]:
        """Return labels and line of what Loki finds, oldest first."""
        answer = self.loki.get(
            "/loki/api/v1/query_range", query=query, limit=5000, direction="forward", **parameters
        )
        found = [
            (int(when), stream["stream"], line)
            for stream in answer["data"]["result"]
            for when, line, *_ in stream["values"]
        ]
        return [(labels, line) for _, labels, line in sorted(found, key=lambda row: row[0])]


def exporter_environment(gateway: ReplayGateway, ports: servers.Ports, **more: str) -> dict[str, str]:
    """Return the environment of an exporter that polls each second and tells the collector."""
    return {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "SCRAPE_INTERVAL": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports.otlp_http}",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        **more,
    }


def report(line: str) -> None:
    """Tell a person who waits for a build, past what pytest captures."""
    os.write(2, f"{line}\n".encode())


@pytest.fixture(scope="session")
def programs() -> Mapping[str, Path]:
    """The programs of the real servers; without a Go toolchain everything here is skipped, but not in CI."""
    try:
        return build_all(report)
    except NoToolchainError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack but Prometheus, which the tests start as they need it."""
    folder = tmp_path_factory.mktemp("stack")
    ports = servers.Ports()
    with ExitStack() as open_things:
        gateway = open_things.enter_context(ReplayGateway())
        tempo = open_things.enter_context(TempoStandIn())
        loki = open_things.enter_context(servers.loki(programs, folder / "loki", ports))
        collector = open_things.enter_context(
            servers.collector(programs, folder / "otelcol", ports, tempo.port)
        )
        alertmanager = open_things.enter_context(
            servers.alertmanager(programs, folder / "alertmanager", ports)
        )
        exporter = open_things.enter_context(program(**exporter_environment(gateway, ports)))
        address = exporter.url().removeprefix("http://")
        yield Stack(gateway, tempo, ports, loki, collector, alertmanager, exporter, address)
