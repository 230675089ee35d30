"""A real Tempo behind the collector: traces by id and by TraceQL, and the metrics that it makes of spans."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter.config.values import parse_duration
from tests.grafana.dashboards import Query
from tests.process import Program, program, run_program
from tests.replay import GOOD, LIST, Asked, ReplayGateway, answer, recorded_body, recording
from tests.stack import servers
from tests.stack.chain import exporter_environment
from tests.stack.loki import loki_or_stand_in
from tests.stack.servers import Programs, Server
from tests.stack.test_configs import queries_from_traces
from tests.stack.test_grammars import QUERIES
from tests.waiting import wait_until

pytestmark = pytest.mark.needs("tempo")

UPDATED, FAILED = "Updated provider metrics", "Fetch failed"
SERVICE = 'service="provider-metrics-exporter"'
SLOW_SECONDS = 2.2
"""Longer than the slow lists that a page asks for, shorter than the deadline."""
PACE = {"SCRAPE_INTERVAL": "4", "FETCH_TIMEOUT": "3"}
SEEN_SECONDS = 60.0
"""The generator writes every 15 seconds, and a rate needs two samples."""
SPANS = {"poll", "convert", "publish", "GET", "fetch /providers", "fetch /providers/stats"}
TRACEQL = [query for query in QUERIES if query.source == "tempo"]
OF_SPANS = [query["query"] for query in queries_from_traces() if "traces_spanmetrics" in query["query"]]


@dataclass(frozen=True)
class Running:
    """Tempo, and who writes to it and reads from it."""

    tempo: Server
    prometheus: Server
    trace_id: str
    """That of a good poll, as its log record has it."""
    environ: Mapping[str, str]
    """The environment of a doctor that knows these servers."""

    def names(self, trace_id: str) -> set[str]:
        """Return the names of a trace's spans."""
        trace = self.tempo.get(f"/api/v2/traces/{trace_id}")["trace"]
        return {
            span["name"]
            for resource in trace["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        }


@pytest.fixture(scope="module")
def running(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Gateway, exporter, collector, Tempo and Prometheus, after polls that pages and dashboards ask for."""
    folder, ports = tmp_path_factory.mktemp("tempo"), servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(ReplayGateway())
        tempo = links.enter_context(servers.tempo(programs, folder / "tempo", ports))
        links.enter_context(loki_or_stand_in(programs, folder / "loki", ports))
        collector = servers.collector(programs, folder / "otelcol", ports, ports.tempo_otlp)
        links.enter_context(collector)
        environment = exporter_environment(gateway.url, ports, **PACE)
        exporter = links.enter_context(program(**environment))
        address = exporter.address()
        changes = {"tempo:3200": f"127.0.0.1:{ports.tempo}"}
        prometheus = servers.prometheus(programs, folder / "prometheus", ports, address, changes)
        links.enter_context(prometheus)
        trace_id = exporter.record(UPDATED)["trace_id"]
        let_it_happen(gateway, exporter)
        environ = {
            **environment,
            "METRICS_PORT": address.rpartition(":")[2],
            "COLLECTOR_URL": collector.url,
            "LOKI_URL": f"http://127.0.0.1:{ports.loki}",
            "TEMPO_URL": tempo.url,
        }
        yield Running(tempo, prometheus, trace_id, environ)


def let_it_happen(gateway: ReplayGateway, exporter: Program) -> None:
    """Let the gateway be broken, short of providers, slow and silent, a poll each, and well again."""

    def wait_for(message: str, check: Callable[[Mapping[str, Any]], bool]) -> None:
        wait_until(lambda: check(exporter.record(message)), 60)

    def be_slow(asked: Asked) -> None:
        if asked.target == LIST:
            time.sleep(SLOW_SECONDS)

    gateway.answers[LIST] = answer(503)
    wait_for(FAILED, lambda record: record["outcome"] == "server_error")
    gateway.answers[LIST] = answer(200, json.dumps(json.loads(recorded_body(GOOD[LIST]))[:5]).encode())
    wait_for(UPDATED, lambda record: record["providers_listed"] == 5)
    gateway.answers[LIST], gateway.on_ask = recording(GOOD[LIST]), be_slow
    wait_for(UPDATED, lambda record: record["duration_ms"] > SLOW_SECONDS * 1000)
    gateway.on_ask, gateway.silent = bool, True
    wait_for(FAILED, lambda record: record["outcome"] == "timeout")
    gateway.silent = False


def test_stops_in_time(programs: Programs, tmp_path: Path) -> None:
    """Without a query it stops by itself within the grace period of its container."""
    seconds = parse_duration(servers.COMPOSE["tempo"]["stop_grace_period"])
    with servers.tempo(programs, tmp_path / "tempo", servers.Ports()) as tempo:
        assert tempo.process
        tempo.process.terminate()

        assert 0 == tempo.process.wait(seconds)


def test_all_data_are_in_one_folder(running: Running) -> None:
    """Every path of the configuration in use is in the folder that is a volume in the stack."""
    config = requests.get(f"{running.tempo.url}/status/config", timeout=10).text
    paths = set(re.findall(r": (/\S+)$", config, re.MULTILINE))

    assert [] == [path for path in paths if not path.startswith(f"{running.tempo.folder}/data")]
    assert len(paths) > 5


def test_trace_by_id(running: Running) -> None:
    """The trace id of a log record leads to all spans of the poll."""
    assert wait_until(lambda: running.names(running.trace_id) >= SPANS)


@pytest.mark.parametrize("query", TRACEQL, ids=lambda query: query.where)
def test_traceql_finds_traces(running: Running, query: Query) -> None:
    """The query of a dashboard, a link or a page is understood, and finds traces."""
    text = query.text.replace("${__field.labels.outcome}", "timeout")

    assert wait_until(lambda: running.tempo.get("/api/search", q=text, limit=20)["traces"], SEEN_SECONDS)


def test_span_metrics(running: Running) -> None:
    """Tempo's generator counts the spans of the service into Prometheus, by their names."""
    query = f"traces_spanmetrics_calls_total{{{SERVICE}}}"

    def names() -> set[str]:
        return {series["metric"]["span_name"] for series in running.prometheus.query(query)}

    assert wait_until(lambda: names() >= SPANS, SEEN_SECONDS)


@pytest.mark.parametrize("query", OF_SPANS)
def test_query_from_a_trace(running: Running, query: str) -> None:
    """The data source's query from a trace to the metrics of its spans finds data."""
    assert wait_until(lambda: running.prometheus.query(query.replace("$${__tags}", SERVICE)), SEEN_SECONDS)


def test_exemplar_leads_to_a_trace(running: Running) -> None:
    """A metric of spans has exemplars, whose label `traceID` is the id of a trace that Tempo has."""

    def exemplars() -> list[Mapping[str, Any]]:
        asked = {"query": f"traces_spanmetrics_latency_bucket{{{SERVICE}}}", "start": time.time() - 600}
        answered = running.prometheus.get("/api/v1/query_exemplars", **asked, end=time.time())
        return [found for series in answered["data"] for found in series["exemplars"]]

    found = wait_until(exemplars, SEEN_SECONDS)

    assert running.names(found[0]["labels"]["traceID"])


def test_service_graph(running: Running) -> None:
    """The graph has an edge from the exporter to the gateway's address."""
    query = 'traces_service_graph_request_total{client="provider-metrics-exporter"}'

    assert wait_until(lambda: running.prometheus.query(query), SEEN_SECONDS)


def test_prometheus_scrapes_tempo(running: Running) -> None:
    """Tempo is a healthy target of its job."""
    assert wait_until(lambda: running.prometheus.query('up{job="tempo"} == 1'))


@pytest.mark.needs("loki")
def test_doctor_finds_the_trace(running: Running) -> None:
    """`doctor` follows the trace id of a record from Loki to Tempo."""

    def checks() -> dict[str, str]:
        document = json.loads(run_program("doctor", "--json", **running.environ).stdout)
        return {one["check"]: one["state"] for one in document["checks"]}

    assert wait_until(lambda: {"ok"} == {checks()[name] for name in ("loki record", "tempo", "tempo trace")})
