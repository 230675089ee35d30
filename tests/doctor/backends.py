"""Stub servers on real sockets, with answers as documented for Prometheus, Loki, Tempo and the others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from exporter import __version__
from exporter.doctor.targets import ALERTMANAGER, COLLECTOR, EXPORTER, GRAFANA, LOKI, PROMETHEUS, TEMPO
from tests.clocks import START_DATE
from tests.http_server import Asked, Connection, StubServer, answer

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
AGE = 12.0
"""Seconds since the last poll."""
SILENCE = object()
"""An answer that never comes."""


@dataclass(frozen=True)
class Response:
    """An answer with a status of its own."""

    status: int
    content: Any = ""
    location: str = ""


Answer = Any
"""JSON, bytes that are sent unchanged, a `Response`, SILENCE, or a function of `Asked` that returns one."""


@dataclass
class Backend(StubServer):
    """A server that answers by path, other paths with `otherwise`; its clock is `ahead` of `now`."""

    answers: dict[str, Answer]
    now: Callable[[], float] = lambda: START_DATE
    ahead: float = 0.0
    otherwise: Answer = Response(404)

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer one request."""
        found = self.answers.get(asked.path, self.otherwise)
        found = found(asked) if callable(found) else found
        if found is SILENCE:
            connection.wait()
            return False
        response = found if isinstance(found, Response) else Response(200, found)
        content = response.content
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        date = formatdate(self.now() + self.ahead, usegmt=True)
        location = {"location": response.location} if response.location else {}
        connection.send(answer(response.status, body, date=date, connection="close", **location))
        return False


def exposition(now: float, **samples: float | None) -> bytes:
    """Return the metrics that `doctor` reads; None removes a series."""
    values = {
        "gatewayz_up": 1.0,
        "gatewayz_providers_listed": 40.0,
        "gatewayz_provider_metrics_last_update": now - AGE,
        "process_start_time_seconds": now - 3 * 3600,
        'gatewayz_exporter_fetches_total{endpoint="providers",outcome="ok"}': 180.0,
        f'gatewayz_exporter_build_info{{version="{__version__}"}}': 1.0,
        **samples,
    }
    return "".join(f"{name} {value}\n" for name, value in values.items() if value is not None).encode()


def target(**changes: Any) -> dict[str, Any]:
    """Return a target as Prometheus lists it."""
    labels = {"instance": "exporter:8001", "job": "provider_metrics"}
    found = {"labels": labels, "scrapeUrl": "http://exporter:8001/metrics", "lastError": "", "health": "up"}
    return {**found, "scrapeInterval": "1m", **changes}


def success(**data: Any) -> Answer:
    """Return data as Prometheus and Loki wrap it."""
    return {"status": "success", "data": data}


def targets(*entries: Mapping[str, Any]) -> Answer:
    """Return Prometheus' list of targets, with one of another job."""
    other = target(labels={"instance": "localhost:9090", "job": "prometheus"})
    return success(activeTargets=[other, *entries], droppedTargets=[])


def values(age: str | None = "31.5", count: str | None = "556") -> Callable[[Asked], Answer]:
    """Return the answers of the two instant queries, age and number of series; empty for None."""

    def answer_query(asked: Asked) -> Answer:
        value = count if asked.query["query"][0].startswith("count(") else age
        result = [] if value is None else [{"metric": {}, "value": [START_DATE, value]}]
        return success(resultType="vector", result=result)

    return answer_query


def rule(name: str, kind: str = "alerting", **changes: Any) -> dict[str, Any]:
    """Return a rule as Prometheus lists it."""
    return {"name": name, "type": kind, "health": "ok", "state": "inactive", "query": "vector(1)", **changes}


def rules(*entries: Mapping[str, Any]) -> Answer:
    """Return Prometheus' list of rules, with one of another project."""
    return success(groups=[{"name": "group", "file": "rules.yml", "rules": [rule("Foreign"), *entries]}])


def log_line(date: float, message: str = "Updated provider metrics", trace_id: str | None = TRACE_ID) -> str:
    """Return a line of the exporter's log."""
    stamp = datetime.fromtimestamp(date, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    ids = {} if trace_id is None else {"trace_id": trace_id, "span_id": "00f067aa0ba902b7"}
    return json.dumps({"timestamp": stamp, "level": "info", "message": message, **ids})


def streams(*lines: str) -> Answer:
    """Return Loki's answer to a query for records."""
    found = [{"stream": {"service": "provider-metrics-exporter"}, "values": [["1", line] for line in lines]}]
    return success(resultType="streams", result=found, stats={})


def spans(*names: str) -> Answer:
    """Return a trace in Tempo's JSON form."""
    found = [{"traceId": "S/k=", "name": name} for name in names]
    scope = {"scope": {"name": "exporter"}, "spans": found}
    return {"batches": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]}


def source(kind: str, **changes: Any) -> dict[str, Any]:
    """Return a data source as Grafana lists it."""
    return {"id": 1, "uid": kind, "name": kind.capitalize(), "type": kind, "url": f"http://{kind}", **changes}


UIDS = ("gatewayz-exporter", "gatewayz-provider", "gatewayz-provider-management")
RANGE, TRACE = "/loki/api/v1/query_range", f"/api/traces/{TRACE_ID}"
SOURCE_HEALTH = "/api/datasources/uid/{}/health"


def good_answers(now: Callable[[], float]) -> dict[str, dict[str, Answer]]:
    """Return the answers of healthy servers, by server and path."""
    hits = [{"id": 1, "uid": uid, "title": uid, "type": "dash-db"} for uid in UIDS]
    kinds = ("loki", "prometheus", "tempo")
    loaded = (
        rule("GatewayzProviderDown", state="firing"),
        rule("GatewayzExporterDown"),
        rule("job_provider:gatewayz_uptime:ratio1h", "recording"),
    )
    return {
        EXPORTER: {"/metrics": lambda _: exposition(now())},
        PROMETHEUS: {
            "/api/v1/status/buildinfo": success(version="3.16.0", revision="x"),
            "/api/v1/targets": targets(target()),
            "/api/v1/query": values(),
            "/api/v1/rules": rules(*loaded),
            "/api/v1/alertmanagers": success(activeAlertmanagers=[{"url": "http://am:9093/api/v2/alerts"}]),
        },
        ALERTMANAGER: {"/api/v2/status": {"versionInfo": {"version": "0.31.1"}, "uptime": "x"}},
        COLLECTOR: {"/": {"status": "Server available", "upSince": "x", "uptime": "3h"}},
        LOKI: {"/ready": b"ready\n", RANGE: lambda _: streams(log_line(now() - AGE + 0.4))},
        TEMPO: {"/ready": b"ready\n", TRACE: spans("poll", "fetch /providers", "convert")},
        GRAFANA: {
            "/api/health": {"database": "ok", "version": "13.2.0"},
            "/api/datasources": [source(kind) for kind in ("alertmanager", *kinds)],
            **{SOURCE_HEALTH.format(kind): {"status": "OK", "message": "works"} for kind in kinds},
            "/api/search": hits,
        },
    }


@contextmanager
def serving(answers: dict[str, dict[str, Answer]], now: Callable[[], float]) -> Iterator[dict[str, Backend]]:
    """Run a server for each entry."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Backend(paths, now)) for name, paths in answers.items()}


real_time = time.time
