"""`doctor` along the real servers: it names the link that is broken, and only what follows from it.

A server in Tempo's place shows the spans that the real collector sent, in Tempo's form; `test_tempo.py` has
the real one. Grafana's answers are those of its documentation. tests/doctor/ tests each answer of a server.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter import SERVICE_NAME
from exporter.doctor.checks import CHECKS
from exporter.doctor.targets import GRAFANA
from tests.doctor.backends import Backend, Response, good_answers, log_line, real_time, spans
from tests.doctor.chain import GRAFANA_TOKEN
from tests.http_server import Asked
from tests.process import run_program
from tests.stack import servers
from tests.stack.chain import Chain, chain, exporter_environment
from tests.stack.servers import Programs, Server
from tests.waiting import wait_until

pytestmark = pytest.mark.needs("loki")

SLOW = {"scrape_interval: 60s": "scrape_interval: 1h"}
"""A Prometheus that has not scraped yet when it is asked, since it spreads its scrapes over the interval."""


@dataclass
class Whole:
    """A whole stack, and the environment of a doctor that knows all of it."""

    chain: Chain
    prometheus: Server
    alertmanager: Server
    environ: dict[str, str]

    def run(self, **variables: str) -> dict[str, Mapping[str, Any]]:
        """Return the checks by name."""
        result = run_program("doctor", "--json", **{**self.environ, **variables})
        document = json.loads(result.stdout)
        assert ("", 0 if document["ok"] else 1) == (result.stderr, result.returncode)
        return {one["check"]: one for one in document["checks"]}

    def sick(self, **variables: str) -> dict[str, str]:
        """Return state by name of what is neither well nor skipped."""
        checks = self.run(**variables).items()
        return {name: one["state"] for name, one in checks if one["state"] not in ("ok", "skipped")}


def let_poll(running: Chain) -> None:
    """Wait for good polls whose records cannot have been on their way before."""
    begun = time.time()
    wait_until(lambda: running.value("gatewayz_provider_metrics_last_update") > begun + 3)


def face(running: Chain) -> Backend:
    """Return a server that shows what came to Tempo's place, in Tempo's form."""

    def trace(asked: Asked) -> Any:
        names = [span.name for span in running.tempo.trace(asked.path.rpartition("/")[2])]
        return spans(*names) if names else Response(404, "trace not found")

    return Backend({"/ready": b"ready\n"}, real_time, otherwise=trace)


@pytest.fixture(scope="module")
def stack_of_doctor(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A stack that tests break and mend, once its exporter was scraped."""
    folder = tmp_path_factory.mktemp("doctor")
    with ExitStack() as links:
        running = links.enter_context(chain(programs, folder))
        running.gateway.check_health()
        ports, address = running.ports, running.exporter_address
        alertmanager = servers.alertmanager(programs, folder / "alertmanager", ports)
        prometheus = servers.prometheus(programs, folder / "prometheus", ports, address)
        links.enter_context(alertmanager)
        links.enter_context(prometheus)
        tempo = links.enter_context(face(running))
        grafana = links.enter_context(Backend(good_answers(real_time)[GRAFANA], real_time))
        wait_until(lambda: prometheus.query("gatewayz_up"))
        environ = {
            **exporter_environment(running.gateway.url, ports, METRICS_PORT=address.rpartition(":")[2]),
            "PROMETHEUS_URL": prometheus.url,
            "ALERTMANAGER_URL": alertmanager.url,
            "COLLECTOR_URL": running.collector.url,
            "LOKI_URL": running.loki.url,
            "TEMPO_URL": tempo.url,
            "GRAFANA_URL": grafana.url,
            "GRAFANA_TOKEN": GRAFANA_TOKEN,
        }
        yield Whole(running, prometheus, alertmanager, environ)


def test_all_well(stack_of_doctor: Whole) -> None:
    """Along a whole stack every check is well; the tests' gateway has no TLS, the exporter neither."""
    checks = stack_of_doctor.run()

    states = {name: one["state"] for name, one in checks.items() if one["state"] != "ok"}
    assert dict.fromkeys(("gateway TLS", "web configuration"), "skipped") == states
    assert [check.name for check in CHECKS] == list(checks)
    assert checks["prometheus rules"]["found"].endswith(" firing")


OF_PROMETHEUS = [f"prometheus {name}" for name in ("target", "series", "rules", "alerting")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prometheus", {"prometheus": "failed", **dict.fromkeys(OF_PROMETHEUS, "not_tried")}),
        ("alertmanager", {"alertmanager": "failed"}),
        ("collector", {"collector": "failed", "loki record": "failed", "tempo trace": "not_tried"}),
        ("loki", {"loki": "failed", "loki record": "not_tried", "tempo trace": "not_tried"}),
    ],
)
def test_server_that_is_gone(stack_of_doctor: Whole, name: str, expected: Mapping[str, str]) -> None:
    """A server that is stopped is named, with what needs it; when it is back, all is well again."""
    server: Server = getattr(stack_of_doctor, name, None) or getattr(stack_of_doctor.chain, name)
    server.stop()
    if name == "collector":
        let_poll(stack_of_doctor.chain)
    try:
        assert expected == stack_of_doctor.sick()
    finally:
        server.start()
    wait_until(lambda: stack_of_doctor.sick() == {}, 90)


PAIRS = (("prometheus", "alertmanager"), ("collector", "loki"))
SWAPPED = {name: other for one, two in PAIRS for name, other in ((one, two), (two, one))}


def test_wrong_addresses(stack_of_doctor: Whole) -> None:
    """A server in the place of another is reported by each check that asks it."""
    own = stack_of_doctor.environ
    urls = {f"{name.upper()}_URL": own[f"{other.upper()}_URL"] for name, other in SWAPPED.items()}

    failed = {name: one for name, one in stack_of_doctor.run(**urls).items() if one["state"] == "failed"}

    assert set(SWAPPED) == set(failed)
    assert all("_URL" in one["remedy"] for one in failed.values())


def test_prometheus_that_just_started(stack_of_doctor: Whole, programs: Programs, tmp_path: Path) -> None:
    """A Prometheus that has not scraped yet is waited for; rules that it lacks are reported."""
    address = stack_of_doctor.chain.exporter_address
    prometheus = servers.prometheus(programs, tmp_path, servers.Ports(), address, SLOW, rules=tmp_path / "no")
    with prometheus as server:
        checks = stack_of_doctor.run(PROMETHEUS_URL=server.url)

    assert ["waiting", "not_tried", "failed", "ok"] == [checks[name]["state"] for name in OF_PROMETHEUS]


def test_loki_with_tenants(stack_of_doctor: Whole, programs: Programs, tmp_path: Path) -> None:
    """Records of a tenant are found with its name, and not without; the remedy has the variable."""
    plain = servers.loki(programs, tmp_path, servers.Ports())
    with replace(plain, command=[*plain.command, "-auth.enabled=true"]) as loki:
        # The exporter polls on, so the record is of a later poll than its last one.
        entry = [str(time.time_ns()), log_line(time.time() + 60)]
        stream = {"stream": {"service": SERVICE_NAME}, "values": [entry]}
        requests.post(
            f"{loki.url}/loki/api/v1/push",
            json={"streams": [stream]},
            headers={"X-Scope-OrgID": "team"},
            timeout=10,
        ).raise_for_status()
        named = stack_of_doctor.run(LOKI_URL=loki.url, LOKI_TENANT="team")
        nameless = stack_of_doctor.run(LOKI_URL=loki.url)

    assert ("ok", "ok") == (named["loki"]["state"], named["loki record"]["state"]), named["loki record"]
    assert ("failed", True) == (
        nameless["loki record"]["state"],
        "LOKI_TENANT" in nameless["loki record"]["remedy"],
    )


def test_exporter_that_is_gone(stack_of_doctor: Whole) -> None:
    """Without an exporter its target is down; what it had sent before is still there."""
    # The last test of this file: nobody starts the exporter again.
    stack_of_doctor.chain.exporter.end()
    wait_until(lambda: "prometheus target" in stack_of_doctor.sick())

    failed = dict.fromkeys(("exporter", "prometheus target"), "failed")
    not_tried = dict.fromkeys(("exporter poll", "prometheus series"), "not_tried")
    assert failed | not_tried == stack_of_doctor.sick()
