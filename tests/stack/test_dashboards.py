"""Every query of every dashboard and page finds data on the real servers, fed by two replicas and a demo."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from exporter.demo.gateway import DemoGateway
from exporter.demo.script import PROVIDERS
from tests.grafana.dashboards import ALL_QUERIES, Query, panels
from tests.process import program
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.loki import LokiStandIn, loki_or_stand_in
from tests.stack.servers import Programs, Server
from tests.stack.substitution import shortened_rules
from tests.stack.tempo import TempoStandIn
from tests.verify.docs import queries as docs
from tests.waiting import wait_until

DAY_SECONDS = 48.0
SEEN_SECONDS = 2 * DAY_SECONDS + 60
"""Whatever happens in a day has happened by then, was scraped, and is found by subqueries of one minute."""
HOME = "gatewayz-provider-management.json"
JOB, ALONE = "provider_metrics", "one_replica"
"""Both replicas, and the first of them once more as if it were alone."""
CHOICES = {"job": JOB, "__rate_interval": "60s", "__interval": "60s"}
"""What Grafana would put for its variables; the intervals cover the demo's last faults."""
CHOSEN_PROVIDER = {HOME: ".+", "gatewayz-provider.json": "groq"}
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
QUERY_RESULT = re.compile(r"query_result\((.+)\)")

OUTAGE = "count(job:gatewayz_list_missing:bool unless on (job) gatewayz_provider_is_active) == 2"
"""Finds the moments at which both jobs have no list."""

OF_EACH_REPLICA = {
    *("Replicas Up", "Poll Duration", "Memory", "CPU", "Open Files", "Scrape Duration"),
    *("Samples per Scrape", "Uptime of the Process"),
}
"""Panels that show the replicas themselves."""
OF_ALL_REPLICAS = {"Fetch Latency"}
"""Panels that count what all replicas did."""
TIMES = {"Data Age", "Last Poll", "Staleness"}
"""Panels of times that differ from replica to replica: the freshest or the slowest one's is shown."""

PROMQL = [query for query in ALL_QUERIES if query.source == "prometheus"]
OF_THE_JOB = [
    query
    for query in PROMQL
    if re.search(r": (?!variable|annotation)", query.where)
    and '"$job"' in query.text
    and query.where.split(": ")[1][:-2] not in OF_EACH_REPLICA | OF_ALL_REPLICAS | TIMES
]
LOGQL = [query for query in ALL_QUERIES if query.source == "loki"]


@dataclass(frozen=True)
class Servers:
    """What dashboards ask."""

    prometheus: Server
    logs: Server | LokiStandIn


@pytest.fixture(scope="module")
def running(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Demo gateway, two exporters of one job, collector, Loki or a receiver in its place, and Prometheus."""
    folder, ports = tmp_path_factory.mktemp("dashboards"), servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, DAY_SECONDS))
        tempo = links.enter_context(TempoStandIn())
        logs = loki_or_stand_in(programs, folder / "loki", ports)
        links.enter_context(logs)
        links.enter_context(servers.collector(programs, folder / "otelcol", ports, tempo.port))
        environment = exporter_environment(gateway.url, ports)
        replicas = [links.enter_context(program(**environment)) for _ in range(2)]
        addresses = [replica.address() for replica in replicas]
        alone = f"  - {{job_name: {ALONE}, static_configs: [{{targets: ['{addresses[0]}']}}]}}"
        prometheus = servers.prometheus(
            programs,
            folder / "prometheus",
            ports,
            ", ".join(addresses),
            {"scrape_configs:": f"scrape_configs:\n{alone}"},
            rules=shortened_rules(folder / "rules"),
        )
        links.enter_context(prometheus)
        # What two replicas double is seen only with two.
        wait_until(lambda: [1, 1] == numbers(prometheus.query(f'up{{job="{JOB}"}}')))
        send_a_record_that_loki_refuses(ports)
        yield Servers(prometheus, logs)


def send_a_record_that_loki_refuses(ports: servers.Ports) -> None:
    """Send the collector a log record that is far too old to be stored."""
    record = {"timeUnixNano": "1", "body": {"stringValue": "of 1970"}}
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    url = f"http://127.0.0.1:{ports.otlp_http}/v1/logs"
    assert requests.post(url, json=body, timeout=10).ok


def as_grafana_asks(query: Query, **choices: str) -> str:
    """Return a query with its variables replaced."""
    file = query.where.partition(":")[0]
    values = {**CHOICES, "provider": CHOSEN_PROVIDER.get(file, ""), **choices}
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], query.text)


def moments(prometheus: Server) -> list[float]:
    """Return the Unix times at which queries are tried: now, and the last outage, for what was last known."""
    now = time.time()
    found = prometheus.get("/api/v1/query_range", query=OUTAGE, start=now - SEEN_SECONDS, end=now, step=1)
    outages = [float(when) for series in found["data"]["result"] for when, _ in series["values"]]
    return [now, *outages[-1:]]


def found_by_prometheus(prometheus: Server, query: Query) -> list[Any]:
    """Return what Prometheus answers at one of the moments: series, or the values of a label."""
    answers = (found_at(prometheus, query, moment) for moment in moments(prometheus))
    return next(filter(None, answers), [])


def found_at(prometheus: Server, query: Query, now: float) -> list[Any]:
    """Return what Prometheus answers at a moment."""
    text = as_grafana_asks(query)
    if asked := LABEL_VALUES.fullmatch(text):
        path, parameters = f"/api/v1/label/{asked[2]}/values", {"match[]": asked[1]}
        return list(prometheus.get(path, **parameters)["data"])
    if asked := QUERY_RESULT.fullmatch(text):
        text = asked[1]
    if query.is_instant or asked:
        return prometheus.query(text, time=now)
    answer = prometheus.get("/api/v1/query_range", query=text, start=now - 60, end=now, step=1)
    return list(answer["data"]["result"])


def found_by_loki(running: Servers, query: Query) -> list[Any]:
    """Return the streams, or the series, that Loki finds."""
    assert isinstance(running.logs, Server), "the test lacks the marker needs('loki')"
    answer = running.logs.get(
        "/loki/api/v1/query_range", query=as_grafana_asks(query), since="10m", limit=100
    )
    return list(answer["data"]["result"])


def found_at_home(prometheus: Server, title: str, letters: str = "A") -> list[Any]:
    """Return what queries of a panel of the home page find."""
    wanted = [f"{HOME}: {title} {letter}" for letter in letters]
    queries = [query for query in PROMQL if query.where in wanted]
    assert len(wanted) == len(queries)
    return [series for query in queries for series in found_by_prometheus(prometheus, query)]


def numbers(found: list[Any]) -> list[float]:
    """Return the numbers of series."""
    return [float(series["value"][1]) for series in found]


@pytest.mark.parametrize("query", [*PROMQL, *docs.of("prometheus")], ids=lambda query: query.where)
def test_promql_finds_data(running: Servers, query: Query) -> None:
    """The query is understood and finds data, those about faults when the demo has brought the fault."""
    assert wait_until(lambda: found_by_prometheus(running.prometheus, query), SEEN_SECONDS, every=0.5)


@pytest.mark.needs("loki")
@pytest.mark.parametrize("query", [*LOGQL, *docs.of("loki")], ids=lambda query: query.where)
def test_logql_finds_data(running: Servers, query: Query) -> None:
    """The query is understood and finds records that were all parsed."""
    streams = wait_until(lambda: found_by_loki(running, query), SEEN_SECONDS, every=0.5)

    assert [] == [found for found in streams if "__error__" in found.get("stream", found.get("metric"))]


@pytest.mark.needs("loki")
def test_lines_are_formatted(running: Servers) -> None:
    """The records of polls are shown as sentences, without the words of a template."""
    (query,) = [query for query in LOGQL if "Latest Polls" in query.where]
    streams = wait_until(lambda: found_by_loki(running, query), SEEN_SECONDS, every=0.5)
    lines = [line for stream in streams for _, line, *_ in stream["values"]]

    sentence = re.compile(
        r"Updated .*: \d+ providers, \d+ active, \d+ healthy, [\d.]+ ms trace_id=[0-9a-f]{32}"
    )
    assert any(map(sentence.fullmatch, lines))
    assert [] == [line for line in lines if "{{" in line or "<no value>" in line]


@pytest.mark.parametrize("query", OF_THE_JOB, ids=lambda query: query.where)
def test_two_replicas_are_like_one(running: Servers, query: Query) -> None:
    """The query finds the series and, but for a second's lag, the numbers that it finds of one replica."""

    def of(job: str, now: float) -> Mapping[str, float]:
        found = running.prometheus.query(as_grafana_asks(query, job=job), time=now)
        labels = [sorted({**series["metric"], "job": JOB}.items()) for series in found]
        return {str(pairs): float(series["value"][1]) for pairs, series in zip(labels, found, strict=True)}

    def same() -> bool:
        pairs = ((of(ALONE, now), of(JOB, now)) for now in moments(running.prometheus))
        return any(one and two == pytest.approx(one, rel=0.2, abs=0.05, nan_ok=True) for one, two in pairs)

    assert wait_until(same, SEEN_SECONDS, every=0.5)


def test_table_has_a_row_for_each_provider(running: Servers) -> None:
    """Every query of the table has each provider at most once, and the first one has them all."""
    (table,) = [panel for panel in panels(HOME) if panel["title"] == "All Providers"]
    everybody = sorted(provider.slug for provider in PROVIDERS)

    def rows(letter: str) -> list[str]:
        found = found_at_home(running.prometheus, "All Providers", letter)
        return sorted(series["metric"]["provider"] for series in found)

    assert wait_until(lambda: rows("A") == everybody, SEEN_SECONDS)
    for target in table["targets"]:
        names = rows(target["refId"])
        assert sorted(set(names)) == names
        assert set(names) <= set(everybody)


def test_shares_of_a_pie_are_the_whole(running: Servers) -> None:
    """The four states of health add up to the active providers, of which none is counted twice."""

    def shares() -> bool:
        states = numbers(found_at_home(running.prometheus, "Providers by Health Status", "ABCD"))
        active = numbers(found_at_home(running.prometheus, "Providers by Active Status"))
        return len(states) == 4 and [sum(states)] == active == [len(PROVIDERS) - 1]

    assert wait_until(shares, SEEN_SECONDS)
