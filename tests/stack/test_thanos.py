"""What Prometheus writes to Thanos is in memory and in object storage, and answers the same queries."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from exporter.demo.gateway import DemoGateway
from exporter.demo.script import PROVIDERS
from tests.process import program
from tests.promql import RECORDED, rules
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.compose import Tree
from tests.stack.scale import SECOND, overlay
from tests.stack.seaweedfs import seaweedfs, storage
from tests.stack.servers import Programs, Server, run
from tests.stack.substitution import shortened_rules
from tests.stack.test_dashboards import HOME, PROMQL, found_at
from tests.stack.thanos import COMPACT, QUERY, RECEIVERS, STORE, Thanos
from tests.waiting import wait_until

CONFIG = "deploy/scale/prom.yml"
WRITE = "http://thanos-receive:19291/api/v1/receive"
LOST, ENTRY, _ = RECEIVERS
"""The receiver that is killed and stays away, and the one to which Prometheus writes."""
DAY_SECONDS = 24.0
BEFORE_SECONDS, AFTER_SECONDS = 24.0, 12.0
"""Before the first receiver is killed, and after each incident."""
OUTAGE = "job:gatewayz_list_missing:bool unless on (job) gatewayz_provider_is_active"
"""While dashboards show what was last known."""
DAY, MINUTE = 86_400, 60
LONG_DAYS = 95
RETENTION = "storage: {tsdb: {retention: {time: 400d}}}"
DOWN = {"groq": 0.001, "openai": 0.03}
"""Share of the minutes in which a provider is down."""

Samples = Mapping[str, list[Any]]
"""Times and values by labels."""


@dataclass(frozen=True)
class Running:
    """Prometheus, and the Thanos to which it writes."""

    prometheus: Server
    second: Server
    """Another Prometheus that scrapes the same, not yet started."""
    query: Server
    thanos: Thanos
    receivers: Mapping[str, Server]
    begin: float
    end: float
    """Unix times between which the receivers were killed."""

    def samples(self, server: Server) -> Samples:
        """Return all samples of the first Prometheus from that time."""
        # A label that Prometheus adds to what it sends.
        selector = "{replica='prometheus-1'}" if server is self.query else '{__name__=~".+"}'
        found = server.query(f"{selector}[{self.end - self.begin:.0f}s]", time=self.end)
        return {str(sorted(series["metric"].items())): series["values"] for series in found}


@pytest.fixture(scope="module")
def services(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The services of the overlay with both profiles."""
    return overlay(programs, tmp_path_factory.mktemp("overlay"), "thanos", "seaweedfs")


@pytest.fixture(scope="module")
def objects(
    programs: Programs, services: Tree, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The variables of Thanos for a running object storage."""
    with seaweedfs(programs["weed"], tmp_path_factory.mktemp("objects") / "weed", services) as store:
        yield storage(services[STORE]["environment"], store)


@pytest.fixture(scope="module")
def running(
    programs: Programs,
    services: Tree,
    objects: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """Two exporters, Prometheus and Thanos; one receiver was killed, then another one, which is back."""
    folder, ports = tmp_path_factory.mktemp("thanos"), servers.Ports()
    thanos = Thanos(programs["thanos"], folder, services, objects)
    receivers = {name: thanos.server(name) for name in RECEIVERS}
    own_rules = shortened_rules(folder / "rules")
    with ExitStack() as links:
        for receiver in receivers.values():
            links.enter_context(receiver)
        query = links.enter_context(thanos.server(QUERY))
        gateway = links.enter_context(DemoGateway(KEY, DAY_SECONDS))
        environment = exporter_environment(gateway.url, ports)
        first, second = (links.enter_context(program(**environment)).address() for _ in range(2))
        changes = {f"{SECOND}:8001": second, WRITE: thanos.write_url(ENTRY)}

        def prometheus(number: int, at: servers.Ports) -> Server:
            own = folder / f"prometheus-{number}"
            replica = {"replica: prometheus-1": f"replica: prometheus-{number}"}
            return servers.prometheus(programs, own, at, first, changes | replica, CONFIG, own_rules)

        begin = time.time()
        one = links.enter_context(prometheus(1, ports))
        time.sleep(BEFORE_SECONDS)
        receivers[LOST].kill()
        time.sleep(AFTER_SECONDS)
        receivers[ENTRY].kill()
        time.sleep(2)
        receivers[ENTRY].start()
        time.sleep(AFTER_SECONDS)
        two = prometheus(2, servers.Ports())
        links.callback(two.stop)
        yield Running(one, two, query, thanos, receivers, begin, time.time())
        # It would wait for the receivers, which have ended.
        one.kill()


def test_nothing_is_lost(running: Running) -> None:
    """Every sample is found, once, while one receiver is dead and another one was restarted."""
    expected = running.samples(running.prometheus)
    assert len(expected) > 1000

    wait_until(lambda: expected == running.samples(running.query), 60, every=1)


def test_recorded_series(running: Running) -> None:
    """Each rule has recorded, and what the rules make of both exporters is there once for each provider."""
    names = {series["metric"]["__name__"] for series in running.query.query('{__name__=~".+:.+"}[2m]')}
    active = "count(last_over_time(job_provider:gatewayz_health_status:max[2m]))"

    assert set() == RECORDED - names
    assert len(PROVIDERS) - 1 == running.query.value(active)


def test_boards(running: Running) -> None:
    """Every query of the dashboards has the same answer as in Prometheus."""
    span = {"start": running.begin, "end": running.end, "step": 1}
    found = running.prometheus.get("/api/v1/query_range", query=OUTAGE, **span)["data"]["result"]
    moments = [running.end, float(found[0]["values"][-1][0])]
    with_data = set()
    for query, moment in product(PROMQL, moments):
        # Which one of two equal replicas is the first is not defined.
        ignored = "instance" if "topk" in query.text else None
        expected, actual = (
            numbers(found_at(server, query, moment), ignored)
            for server in (running.prometheus, running.query)
        )
        assert pytest.approx(expected, rel=1e-9, nan_ok=True) == actual, query.where
        if expected:
            with_data.add(query.where)

    assert set() == {query.where for query in PROMQL if query.where.startswith(HOME)} - with_data


def numbers(found: list[Any], ignored: str | None = None) -> dict[str, float]:
    """Return the numbers of series by labels, without an ignored one, and time; values of a label as keys."""
    if found and isinstance(found[0], str):
        return dict.fromkeys(found, 0.0)
    return {
        f"{sorted(labels.items())} {when}": float(text)
        for series in found
        for labels in [{name: value for name, value in series["metric"].items() if name != ignored}]
        for when, text in series.get("values") or [series["value"]]
    }


def test_second_prometheus(running: Running) -> None:
    """What a second Prometheus writes as well is two series only on request."""
    count = "count({__name__!~'ALERTS.*|prometheus_.*', job='provider_metrics'})"

    def replicas(**parameters: str) -> set[str | None]:
        found = running.query.query("gatewayz_providers_listed", **parameters)
        return {series["metric"].get("replica") for series in found}

    with running.second as second:
        wait_until(lambda: second.value(count) == running.prometheus.value(count), 60, every=1)
        wait_until(lambda: replicas(dedup="false") == {"prometheus-1", "prometheus-2"}, 60, every=1)
        assert {None} == replicas()
        wait_until(lambda: running.query.value(count) == running.prometheus.value(count), 60, every=1)


def test_object_storage(running: Running) -> None:
    """Receivers upload what they have before they end; merged to one replica, nothing is lost either."""
    thanos = running.thanos
    expected = running.samples(running.prometheus)
    running.receivers[LOST].start()
    for receiver in running.receivers.values():
        receiver.stop()
    uploaded = blocks(thanos)
    # One each, or two if an even hour has passed meanwhile.
    assert ({"1"}, 0) == (set(uploaded), uploaded["1"] % len(RECEIVERS))
    with thanos.server(STORE) as store:
        wait_until(lambda: expected == running.samples(running.query), 60, every=1)
        store.stop()
        compact = [part for part in thanos.server(COMPACT).command if part != "--wait"]
        code, output = run(*compact, "--consistency-delay=0s", env=thanos.storage)
        assert 0 == code, output[-3000:]
        assert {"2": uploaded["1"] // len(RECEIVERS)} == blocks(thanos)
        store.start()
        wait_until(lambda: expected == running.samples(running.query), 60, every=1)


def blocks(thanos: Thanos) -> Mapping[str, int]:
    """Return the number of blocks in the object storage by how often they were merged, once for a new one."""
    command = ("tools", "bucket", "ls", "--exclude-delete", "--output=json", thanos.storage_flag())
    code, output = run(thanos.program, *command, env=thanos.storage)
    assert 0 == code, output
    return Counter(re.findall(r'"level": (\d+)', output))


def test_long_windows(programs: Programs, services: Tree, objects: Mapping[str, str], tmp_path: Path) -> None:
    """Uptimes of 30 and 90 days from object storage are those of a Prometheus with the same blocks."""
    prometheus = servers.prometheus_with(programs, tmp_path / "prometheus", RETENTION)
    data = tmp_path / "prometheus" / "data"
    end = int(time.time()) // (10 * MINUTE) * 10 * MINUTE
    (tmp_path / "history.txt").write_text("\n".join([*history(end), "# EOF\n"]), encoding="utf-8")
    command = ("tsdb", "create-blocks-from", "--max-block-duration=20d", "openmetrics", "--quiet")
    code, output = run(programs["promtool"], *command, tmp_path / "history.txt", data)
    assert 0 == code, output
    thanos = Thanos(programs["thanos"], tmp_path, services, {**objects, "THANOS_BUCKET": "history"})
    upload = ("tools", "bucket", "upload-blocks", f"--path={shutil.copytree(data, tmp_path / 'blocks')}")
    code, output = run(
        thanos.program, *upload, '--label=tenant_id="a"', thanos.storage_flag(), env=thanos.storage
    )
    assert 0 == code, output
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    queries = {
        recorded["job_provider:gatewayz_uptime:ratio30d"]: 30,
        recorded["job_provider:gatewayz_uptime:coverage30d"]: 30,
        "avg_over_time(job_provider:gatewayz_usable:bool[30d])": 30,
        "avg_over_time(job_provider:gatewayz_usable:bool[90d])": 90,
        "count_over_time(job_provider:gatewayz_usable:bool[90d])": 90,
    }
    with prometheus, thanos.server(STORE), thanos.server(QUERY) as query:
        wait_until(lambda: query.query("job_provider:gatewayz_usable:bool", time=end))
        for text, days in queries.items():
            span = {"start": end - (LONG_DAYS - days) * DAY, "end": end, "step": DAY}
            expected, actual = (
                numbers(server.get("/api/v1/query_range", query=text, **span)["data"]["result"])
                for server in (prometheus, query)
            )
            assert len(DOWN) * (LONG_DAYS - days + 1) == len(expected)
            assert pytest.approx(expected, rel=1e-9) == actual, text
        for provider, share in DOWN.items():
            uptime = f'avg_over_time(job_provider:gatewayz_usable:bool{{provider="{provider}"}}[90d])'
            assert pytest.approx(1 - share, abs=0.005) == query.value(uptime)


def history(end: int) -> Iterator[str]:
    """Yield what the rules have recorded of two providers in the days before a time."""
    chance = random.Random(0)
    begin = end - LONG_DAYS * DAY
    for provider, share in DOWN.items():
        labels = f'{{job="provider_metrics",provider="{provider}"}}'
        moments = range(begin, end + 1, MINUTE)
        usable = [int(chance.random() >= share) for _ in moments]
        for when, value in zip(moments, usable, strict=True):
            yield f"job_provider:gatewayz_usable:bool{labels} {value} {when}"
        for place in range(10, len(usable), 10):
            last = usable[place - 9 : place + 1]
            for name, value in (("sum10m", sum(last)), ("count10m", len(last))):
                yield f"job_provider:gatewayz_usable:{name}{labels} {value} {moments[place]}"
