"""Gateway, exporter, collector, Loki or a receiver in its place, and a receiver in Tempo's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.process import Program, program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.exposition import exposed
from tests.stack.loki import LokiStandIn, loki_or_stand_in
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT
from tests.stack.tempo import TempoStandIn

KEY = "test-admin-key"
OWN = {"ADMIN_KEY": KEY, "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
"""The environment of every exporter."""


@dataclass
class Chain:
    """All links of a running chain."""

    gateway: ReplayGateway
    tempo: TempoStandIn
    ports: servers.Ports
    logs: servers.Server | LokiStandIn
    """Where log records go."""
    collector: servers.Server
    exporter: Program
    exporter_address: str

    @property
    def loki(self) -> servers.Server:
        """The real Loki, for tests that are marked as in need of it."""
        assert isinstance(self.logs, servers.Server), "the test lacks the marker needs('loki')"
        return self.logs

    def scrape(self) -> str:
        """Return the exporter's exposition in the text format."""
        return requests.get(f"http://{self.exporter_address}/metrics", timeout=5).text

    def value(self, name: str) -> float:
        """Return the value of a series without labels of the exporter."""
        return exposed(self.scrape())[name, frozenset()]

    def log_lines(self, query: str) -> list[tuple[Mapping[str, str], str]]:
        """Return labels and line of what Loki finds, oldest first."""
        answer = self.loki.get("/loki/api/v1/query_range", query=query, limit=5000, direction="forward")
        found = [
            (int(when), stream["stream"], line)
            for stream in answer["data"]["result"]
            for when, line, *_ in stream["values"]
        ]
        return [(labels, line) for _, labels, line in sorted(found, key=lambda row: row[0])]


def exporter_environment(gateway_url: str, ports: servers.Ports, **more: str) -> dict[str, str]:
    """Return the environment of an exporter that polls each second and sends to the collector."""
    return {
        **OWN,
        "GATEWAY_API_URL": gateway_url,
        "SCRAPE_INTERVAL": "1",
        "CUSTOM_METRICS_FILE": str(ROOT / "examples" / "custom-metrics.yaml"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports.otlp_http}",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        **more,
    }


@contextmanager
def chain(programs: Programs, folder: Path) -> Iterator[Chain]:
    """Start a chain from its end to its beginning, and end it the other way round."""
    ports = servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(ReplayGateway())
        tempo = links.enter_context(TempoStandIn())
        logs = loki_or_stand_in(programs, folder / "loki", ports)
        links.enter_context(logs)
        collector = links.enter_context(servers.collector(programs, folder / "otelcol", ports, tempo.port))
        exporter = links.enter_context(program(**exporter_environment(gateway.url, ports)))
        yield Chain(gateway, tempo, ports, logs, collector, exporter, exporter.address())
