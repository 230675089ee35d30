"""`doctor` along the real servers: it names the link that is broken, and only what follows from it.

A server in Tempo's place shows the spans that the real collector sent, in Tempo's form; `test_tempo.py` has
the real one. Grafana's answers are those of its documentation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.doctor.checks import CHECKS
from exporter.doctor.targets import GRAFANA
from tests.doctor.backends import Backend, Response, good_answers, real_time, spans
from tests.doctor.chain import GRAFANA_TOKEN
from tests.http_server import Asked
from tests.process import program, run_program
from tests.replay import answer, recording
from tests.stack import servers
from tests.stack.chain import Chain, chain, exporter_environment
from tests.stack.servers import Server, free_port, wait_until
from tests.stack.substitution import ROOT

pytestmark = pytest.mark.needs("loki")

TARGET = "prometheus target"
SLOW = {"scrape_interval: 60s": "scrape_interval: 1h"}
"""A Prometheus that has not scraped yet when it is asked, since it spreads its scrapes over the interval."""


@dataclass
class Whole:
    """A whole stack, and the environment of a doctor that knows all of it."""

    chain: Chain
    prometheus: Server
    alertmanager: Server
    tempo: Backend
    environ: dict[str, str]

    def run(self, **variables: str) -> dict[str, Mapping[str, Any]]:
        """Return the checks by name."""
        result = run_program("doctor", "--json", **{**self.environ, **variables})
        document = json.loads(result.stdout)
        assert ("", 0 if document["ok"] else 1) == (result.stderr, result.returncode)
        return {one["check"]: one for one in document["checks"]}

    def sick(self, **variables: str) -> dict[str, str]:
        """Return state by name of what is neither well nor skipped."""
        checks = self.run(**variables)
        return {name: one["state"] for name, one in checks.items() if one["state"] not in ("ok", "skipped")}


def value(running: Chain, name: str) -> float:
    """Return the value of a series of the exporter."""
    (line,) = [line for line in running.scrape().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def let_poll(running: Chain) -> None:
    """Wait for good polls whose records cannot have been on their way before."""
    begun = time.time()
    wait_until(lambda: value(running, "gatewayz_provider_metrics_last_update") > begun + 3)


def face(running: Chain) -> Backend:
    """Return a server that shows what came to Tempo's place, in Tempo's form."""

    def trace(asked: Asked) -> Any:
        names = [span.name for span in running.tempo.trace(asked.path.rpartition("/")[2])]
        return spans(*names) if names else Response(404, "trace not found")

    return Backend({"/ready": b"ready\n"}, real_time, otherwise=trace)


@contextmanager
def whole(programs: Mapping[str, Path], folder: Path) -> Iterator[Whole]:
    """Start a stack, and wait until its exporter was scraped."""
    with ExitStack() as links:
        running = links.enter_context(chain(programs, folder))
        alertmanager = links.enter_context(
            servers.alertmanager(programs, folder / "alertmanager", running.ports)
        )
        prometheus = links.enter_context(
            servers.prometheus(programs, folder / "prometheus", running.ports, running.exporter_address)
        )
        tempo = links.enter_context(face(running))
        grafana = links.enter_context(Backend(good_answers(real_time)[GRAFANA], real_time))
        wait_until(lambda: prometheus.get("/api/v1/query", query="gatewayz_up")["data"]["result"])
        port = running.exporter_address.rpartition(":")[2]
        environ = {
            **exporter_environment(running.gateway.url, running.ports, METRICS_PORT=port),
            "PROMETHEUS_URL": prometheus.url,
            "ALERTMANAGER_URL": alertmanager.url,
            "COLLECTOR_URL": running.collector.url,
            "LOKI_URL": running.loki.url,
            "TEMPO_URL": tempo.url,
            "GRAFANA_URL": grafana.url,
            "GRAFANA_TOKEN": GRAFANA_TOKEN,
        }
        yield Whole(running, prometheus, alertmanager, tempo, environ)


@pytest.fixture(scope="module")
def stack_of_doctor(
    programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Whole]:
    """A stack that tests break and mend."""
    with whole(programs, tmp_path_factory.mktemp("doctor")) as running:
        yield running


def test_all_well(stack_of_doctor: Whole) -> None:
    """Along a whole stack every check is well; the tests' gateway has no TLS."""
    checks = stack_of_doctor.run()

    assert {"gateway TLS": "skipped"} == {
        name: one["state"] for name, one in checks.items() if one["state"] != "ok"
    }
    assert [check.name for check in CHECKS] == list(checks)
    assert checks["prometheus rules"]["found"].endswith(" firing")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            recording("11-list-wrong-key.http"),
            {"gateway key": "failed", "gateway answers": "not_tried", "exporter poll": "failed"},
        ),
        (answer(500), {"gateway answers": "failed", "exporter poll": "failed"}),
    ],
    ids=["key", "answers"],
)
def test_gateway(stack_of_doctor: Whole, reply: bytes, expected: Mapping[str, str]) -> None:
    """A gateway that fails makes polls fail; their records and traces arrive as ever."""
    gateway = stack_of_doctor.chain.gateway
    good = dict(gateway.answers)
    try:
        gateway.answers.update(dict.fromkeys(good, reply))
        wait_until(lambda: value(stack_of_doctor.chain, "gatewayz_up") == 0)

        assert expected == stack_of_doctor.sick()
    finally:
        gateway.answers.update(good)
        wait_until(lambda: value(stack_of_doctor.chain, "gatewayz_up") == 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "prometheus",
            {
                "prometheus": "failed",
                **dict.fromkeys(
                    (f"prometheus {n}" for n in ("target", "series", "rules", "alerting")), "not_tried"
                ),
            },
        ),
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


def test_wrong_addresses(stack_of_doctor: Whole) -> None:
    """A server in the place of another is told, by each that asks it."""
    urls = stack_of_doctor.environ
    swapped = stack_of_doctor.run(
        PROMETHEUS_URL=urls["ALERTMANAGER_URL"],
        ALERTMANAGER_URL=urls["PROMETHEUS_URL"],
        COLLECTOR_URL=urls["LOKI_URL"],
        LOKI_URL=urls["COLLECTOR_URL"],
    )

    assert {"prometheus", "alertmanager", "collector", "loki"} == {
        name for name, one in swapped.items() if one["state"] == "failed"
    }
    assert all(
        "_URL" in swapped[name]["remedy"] for name in ("prometheus", "alertmanager", "collector", "loki")
    )


def test_prometheus_that_just_started(
    stack_of_doctor: Whole, programs: Mapping[str, Path], tmp_path: Path
) -> None:
    """A Prometheus that has not scraped yet is waited for; rules that it lacks are told."""
    changes = {
        **SLOW,
        f"  - {ROOT}/prometheus/rules/": "  - nowhere/",
    }
    ports = servers.Ports()
    with servers.prometheus(
        programs, tmp_path, ports, stack_of_doctor.chain.exporter_address, changes
    ) as server:
        checks = stack_of_doctor.run(PROMETHEUS_URL=server.url)

    assert ("waiting", "not_tried", "failed", "ok") == tuple(
        checks[f"prometheus {name}"]["state"] for name in ("target", "series", "rules", "alerting")
    )


def test_exporter_without_collector(stack_of_doctor: Whole) -> None:
    """An exporter that sends to nowhere is found out, though collector and Loki are well."""
    sent = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_SERVICE_NAME": "lost-exporter",
    }
    ports, gateway = stack_of_doctor.chain.ports, stack_of_doctor.chain.gateway
    with program(**exporter_environment(gateway.url, ports, **sent)) as second:
        port = str(second.record("Listening")["port"])
        second.record("Updated provider metrics")

        assert {"loki record": "failed", "tempo trace": "not_tried"} == stack_of_doctor.sick(
            METRICS_PORT=port, **sent
        )


def test_exporter_that_is_gone(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """Without an exporter its target is down; what it had sent before is still there."""
    with whole(programs, tmp_path) as running:
        wait_until(lambda: running.sick() == {}, 60)
        running.chain.exporter.end()
        wait_until(lambda: TARGET in running.sick(), 30)

        assert {
            "exporter": "failed",
            "exporter poll": "not_tried",
            TARGET: "failed",
            "prometheus series": "not_tried",
        } == running.sick()


def test_tempo_that_gets_nothing(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """Where the collector cannot reach Tempo, the trace alone is missing."""
    with whole(programs, tmp_path) as running:
        running.chain.tempo.__exit__(None, None, None)
        before = len(running.chain.tempo.spans)
        let_poll(running.chain)

        assert {"tempo trace": "failed"} == running.sick()
        assert before == len(running.chain.tempo.spans)
