"""Grafana with the provisioned dashboards, over states that a demo gateway produces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from exporter.demo.gateway import DemoGateway
from exporter.demo.script import HOURS
from tests.clocks import MovedClock
from tests.grafana.dashboards import parsed
from tests.http_server import free_port
from tests.process import Program, program
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.grafana import Grafana, grafana
from tests.stack.loki import EmptyLoki
from tests.stack.servers import Programs, Server
from tests.stack.substitution import shortened_rules
from tests.stack.tempo import EmptyTempo, TempoStandIn
from tests.waiting import wait_until

HOME, ONE, EXPORTER = "gatewayz-provider-management.json", "gatewayz-provider.json", "gatewayz-exporter.json"
PROVIDER = "groq"
"""The one that is down for a while."""
JOB = "provider_metrics"
SHOWN_SECONDS = 120
"""Time range of a board; all states happen within it."""
LONGEST_SECONDS = 120.0
STALE_AFTER = "8"


@dataclass(frozen=True)
class State:
    """What a visitor finds at one moment."""

    hour: int
    """Of the demo's script, whose time stands still meanwhile."""
    query: str
    """What Prometheus finds as soon as the state is there."""


STATES: Mapping[str, State] = {
    # A rate needs two samples.
    "started": State(
        1, "count_over_time(gatewayz_up[1m]) >= 2 and on () job_provider:gatewayz_health_status:max"
    ),
    "well": State(
        1,
        f"""count_over_time(gatewayz_up[5m]) >= 20
        and on () job_provider:gatewayz_uptime:ratio14d{{provider="{PROVIDER}"}}
        and on () job_provider:gatewayz_response_time_seconds:median7d{{provider="{PROVIDER}"}}""",
    ),
    "down": State(
        6,
        # For a while, so that it is seen.
        f"""count_over_time(ALERTS{{alertname="GatewayzProviderDown", alertstate="firing",
        provider="{PROVIDER}"}}[1m]) >= 10""",
    ),
    "stale": State(
        18,
        """count_over_time(ALERTS{alertname="GatewayzDataStale", alertstate="firing"}[1m]) >= 10
        unless on () gatewayz_provider_health_status""",
    ),
}
"""The states in their order."""
RECOVERED_HOUR = 23


@dataclass(frozen=True)
class Boards:
    """Grafana, what it asks, and when each state was there.

    A board that is opened with a time range that ends at such a moment shows that state, however late.
    """

    grafana: Grafana
    prometheus: Server
    exporter: Program
    exporter_url: str
    moments: dict[str, float] = field(default_factory=dict)
    """Unix times by name of the state."""
    has_logs: bool = False
    """Whether Loki is real."""
    has_traces: bool = False
    """Whether Tempo is real."""

    def range(self, state: str) -> tuple[str, str]:
        """Return beginning and end of the time range of a state, as in an address."""
        end = round(1000 * self.moments[state])
        return str(end - 1000 * SHOWN_SECONDS), str(end)

    def address(self, file: str, state: str, **more: str) -> str:
        """Return the address of a board, as of a state."""
        begin, end = self.range(state)
        chosen = {"from": begin, "to": end, "var-job": JOB, **more}
        return f"{self.grafana.url}/d/{parsed(file)['uid']}?{urlencode(chosen)}"


@contextmanager
def running_boards(programs: Programs, folder: Path) -> Iterator[Boards]:
    """Start everything, and let all states happen."""
    ports, port = servers.Ports(), free_port()
    clock, begun = MovedClock(), time.time()
    rules = shortened_rules(folder / "rules")
    changes = {"tempo:3200": f"127.0.0.1:{ports.tempo}", "grafana:3000": f"127.0.0.1:{ports.grafana}"}
    with ExitStack() as links:
        shown = links.enter_context(grafana(programs, folder / "grafana", ports))
        has_logs, has_traces = "loki" in programs, "tempo" in programs
        loki = servers.loki(programs, folder / "loki", ports) if has_logs else EmptyLoki(port=ports.loki)
        links.enter_context(loki)
        traces_port = ports.tempo_otlp
        if has_traces:
            links.enter_context(servers.tempo(programs, folder / "tempo", ports))
        else:
            links.enter_context(EmptyTempo(port=ports.tempo))
            traces_port = links.enter_context(TempoStandIn()).port
        links.enter_context(servers.collector(programs, folder / "otelcol", ports, traces_port))
        links.enter_context(servers.alertmanager(programs, folder / "alertmanager", ports))
        own, address = folder / "prometheus", f"127.0.0.1:{port}"
        prometheus = servers.prometheus(programs, own, ports, address, changes, rules=rules)
        links.enter_context(prometheus)
        gateway = links.enter_context(DemoGateway(KEY, HOURS, clock=lambda: begun + clock.now))
        environment = exporter_environment(
            gateway.url,
            ports,
            METRICS_PORT=str(port),
            STALE_AFTER=STALE_AFTER,
            GRAFANA_EXTERNAL_URL=shown.url,
        )
        exporter = links.enter_context(program(**environment))
        boards = Boards(shown, prometheus, exporter, exporter.url(), has_logs=has_logs, has_traces=has_traces)
        for name, state in STATES.items():
            clock.now = state.hour
            wait_until(_found(prometheus, state.query), LONGEST_SECONDS)
            boards.moments[name] = time.time()
        clock.now = RECOVERED_HOUR
        wait_until(_found(prometheus, f'gatewayz_provider_health_status{{provider="{PROVIDER}"}} == 1'))
        yield boards


def _found(prometheus: Server, query: str) -> Callable[[], bool]:
    """Return whether Prometheus finds something, as a check."""
    return lambda: bool(prometheus.query(query))
