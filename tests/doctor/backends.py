"""Servers that answer what Prometheus, Loki, Tempo and the others answer, on real sockets.

The forms are those of their documentation; tests/stack/ asks the real ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from exporter import __version__
from exporter.doctor.targets import ALERTMANAGER, COLLECTOR, EXPORTER, GRAFANA, LOKI, PROMETHEUS, TEMPO
from tests.clocks import START_DATE
from tests.http_server import Asked as Asked
from tests.http_server import Connection, StubServer, answer

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
AGE = 12.0
"""Seconds since the last poll."""


@dataclass(frozen=True)
class Refusal:
    """An answer that is none of success."""

    status: int
    content: Any = ""


Answer = Any
"""JSON, bytes that are sent as they are, a `Refusal`, or what makes one of these of a request."""


@dataclass
class Backend(StubServer):
    """A server that answers by path, or with `otherwise`; its clock is `ahead` of `now` by seconds."""

    answers: dict[str, Answer]
    now: Callable[[], float] = lambda: START_DATE
    ahead: float = 0.0
    otherwise: Answer = Refusal(404)

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer one request."""
        found = self.answers.get(asked.path, self.otherwise)
        found = found(asked) if callable(found) else found
        refusal = found if isinstance(found, Refusal) else Refusal(200, found)
        body = refusal.content if isinstance(refusal.content, bytes) else json.dumps(refusal.content).encode()
        date = formatdate(self.now() + self.ahead, usegmt=True)
        connection.send(answer(refusal.status, body, date=date, connection="close"))
        return False


def exposition(now: float, **samples: float | None) -> bytes:
    """Return what matters here of an exporter's page; None takes a series away."""
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
    """Return an entry of Prometheus' list of targets."""
    return {
        "discoveredLabels": {"__address__": "exporter:8001"},
        "labels": {"instance": "exporter:8001", "job": "provider_metrics"},
        "scrapePool": "provider_metrics",
        "scrapeUrl": "http://exporter:8001/metrics",
        "lastError": "",
        "lastScrape": "2026-08-20T02:01:40.1Z",
        "health": "up",
        "scrapeInterval": "1m",
        "scrapeTimeout": "10s",
        **changes,
    }


def targets(*entries: Mapping[str, Any]) -> Answer:
    """Return Prometheus' list of targets, some other server's first."""
    other = target(labels={"instance": "localhost:9090", "job": "prometheus"})
    return {"status": "success", "data": {"activeTargets": [other, *entries], "droppedTargets": []}}


def vector(value: str | None) -> Answer:
    """Return the answer of an instant query, empty without a value."""
    result = [] if value is None else [{"metric": {}, "value": [START_DATE, value]}]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def values(age: str | None = "31.5", count: str | None = "556") -> Callable[[Asked], Answer]:
    """Return what answers the two queries: age and number of series."""
    return lambda asked: vector(count if asked.query["query"][0].startswith("count(") else age)


def rule(name: str, kind: str = "alerting", **changes: Any) -> dict[str, Any]:
    """Return a rule of Prometheus' list."""
    return {"name": name, "type": kind, "health": "ok", "state": "inactive", "query": "vector(1)", **changes}


def rules(*entries: Mapping[str, Any]) -> Answer:
    """Return Prometheus' list of rules, a foreign one first."""
    group = {"name": "group", "file": "rules.yml", "rules": [rule("Foreign"), *entries]}
    return {"status": "success", "data": {"groups": [group]}}


def log_line(
    logged: float, message: str = "Updated provider metrics", trace_id: str | None = TRACE_ID
) -> str:
    """Return a line of the exporter's log."""
    stamp = datetime.fromtimestamp(logged, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    ids = {} if trace_id is None else {"trace_id": trace_id, "span_id": "00f067aa0ba902b7"}
    return json.dumps({"timestamp": stamp, "level": "info", "message": message, **ids})


def streams(*lines: str) -> Answer:
    """Return the answer of Loki to a query for records."""
    found = [{"stream": {"service": "provider-metrics-exporter"}, "values": [["1", line] for line in lines]}]
    return {"status": "success", "data": {"resultType": "streams", "result": found, "stats": {}}}


def spans(*names: str) -> Answer:
    """Return a trace in Tempo's JSON form."""
    batch = {
        "resource": {"attributes": []},
        "scopeSpans": [
            {"scope": {"name": "exporter"}, "spans": [{"traceId": "S/k=", "name": n} for n in names]}
        ],
    }
    return {"batches": [batch]}


def source(kind: str, **changes: Any) -> dict[str, Any]:
    """Return an entry of Grafana's list of data sources."""
    return {"id": 1, "uid": kind, "name": kind.capitalize(), "type": kind, "url": f"http://{kind}", **changes}


UIDS = ("gatewayz-exporter", "gatewayz-provider", "gatewayz-provider-management")
SOURCE_HEALTH = "/api/datasources/uid/{}/health"


def good_answers(now: Callable[[], float]) -> dict[str, dict[str, Answer]]:
    """Return by stage what is answered by path when all is well."""
    hits = [{"id": 1, "uid": uid, "title": uid, "type": "dash-db"} for uid in UIDS]
    return {
        EXPORTER: {"/metrics": lambda _: exposition(now())},
        PROMETHEUS: {
            "/api/v1/status/buildinfo": {"status": "success", "data": {"version": "3.16.0", "revision": "x"}},
            "/api/v1/targets": targets(target()),
            "/api/v1/query": values(),
            "/api/v1/rules": rules(
                rule("GatewayzProviderDown", state="firing"),
                rule("GatewayzExporterDown"),
                rule("job_provider:gatewayz_uptime:ratio1h", "recording"),
            ),
            "/api/v1/alertmanagers": {
                "status": "success",
                "data": {"activeAlertmanagers": [{"url": "http://alertmanager:9093/api/v2/alerts"}]},
            },
        },
        ALERTMANAGER: {"/api/v2/status": {"versionInfo": {"version": "0.31.1"}, "uptime": "x"}},
        COLLECTOR: {"/": {"status": "Server available", "upSince": "x", "uptime": "3h"}},
        LOKI: {
            "/ready": b"ready\n",
            "/loki/api/v1/query_range": lambda _: streams(log_line(now() - AGE + 0.4)),
        },
        TEMPO: {
            "/ready": b"ready\n",
            f"/api/traces/{TRACE_ID}": spans("poll", "fetch /providers", "convert"),
        },
        GRAFANA: {
            "/api/health": {"database": "ok", "version": "13.2.0"},
            "/api/datasources": [source(kind) for kind in ("alertmanager", "loki", "prometheus", "tempo")],
            **{
                SOURCE_HEALTH.format(kind): {"status": "OK", "message": "works"}
                for kind in ("loki", "prometheus", "tempo")
            },
            "/api/search": hits,
        },
    }


def real_time() -> float:
    """Return the Unix time of the machine."""
    return time.time()
