"""Checks of Grafana: health, data sources, dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from exporter.doctor.context import Context
from exporter.doctor.report import Finding, State, failed, ok, sanitized
from exporter.doctor.targets import GRAFANA
from exporter.errors import Outcome
from exporter.transport.probe import ProbeError

SOURCE_TYPES = ("prometheus", "loki", "tempo")
"""Types that the dashboards query."""
DASHBOARDS: Mapping[str, str] = MappingProxyType(
    {
        "gatewayz-provider-management": "GatewayZ Provider Management",
        "gatewayz-provider": "GatewayZ Provider",
        "gatewayz-exporter": "GatewayZ Exporter",
    }
)
"""Title by uid."""
NO_HEALTH_CHECK = frozenset({404, 501})
"""Status for a data source whose version has no health check."""
REFUSED = frozenset({Outcome.UNAUTHORIZED, Outcome.FORBIDDEN})

DATABASE_DOWN = "Check Grafana's log."
NO_SOURCES = (
    "Add them as in grafana/provisioning/datasources/, or in Grafana under Connections > Data sources."
)
FAILING_SOURCES = (
    "Test it in Grafana under Connections > Data sources: its URL must be right from where Grafana runs."
)
NO_DASHBOARDS = (
    "Provision or import the files in grafana/dashboards/; the account must be allowed to see their folder."
)
HOW_TO_CHECK = "For this check, set GRAFANA_TOKEN or GRAFANA_TOKEN_FILE to the token of a service account."


class _Health(msgspec.Struct):
    database: str
    version: str = "unknown"


class _Source(msgspec.Struct):
    uid: str
    type: str
    name: str


class _SourceHealth(msgspec.Struct):
    status: str


class _Hit(msgspec.Struct):
    uid: str


def grafana(context: Context) -> Finding:
    """Check the health of Grafana and its database."""
    health = context.get_json(_Health, GRAFANA, "/api/health")
    if health.database != "ok":
        return failed("its database fails", DATABASE_DOWN)
    return ok(f"version {sanitized(health.version)}")


def data_sources(context: Context) -> Finding:
    """Check that each data source of the dashboards exists and passes Grafana's own test."""
    if GRAFANA not in context.targets.credentials:
        return Finding(State.SKIPPED, "no token", HOW_TO_CHECK)
    found = context.get_json(list[_Source], GRAFANA, "/api/datasources")
    chosen = {kind: _of_type(kind, found) for kind in SOURCE_TYPES}
    missing = [kind for kind, source in chosen.items() if source is None]
    if missing:
        return failed(f"none of type {', '.join(missing)}", NO_SOURCES)
    failing = [
        sanitized(source.name) for source in chosen.values() if source and not _passes(context, source)
    ]
    if failing:
        return failed(f"{', '.join(failing)}: the test in Grafana fails", FAILING_SOURCES)
    return ok(", ".join(sanitized(source.name) for source in chosen.values() if source))


def dashboards(context: Context) -> Finding:
    """Check that the three dashboards exist."""
    if GRAFANA not in context.targets.credentials:
        return Finding(State.SKIPPED, "no token", HOW_TO_CHECK)
    hits = context.get_json(
        list[_Hit], GRAFANA, "/api/search", {"type": "dash-db", "dashboardUIDs": list(DASHBOARDS)}
    )
    seen = {hit.uid for hit in hits}
    missing = [title for uid, title in DASHBOARDS.items() if uid not in seen]
    return (
        failed(f"missing: {', '.join(missing)}", NO_DASHBOARDS) if missing else ok(f"all {len(DASHBOARDS)}")
    )


def _of_type(kind: str, found: list[_Source]) -> _Source | None:
    """Return the data source of a type; of several, the one that this project provisions."""
    return next((one for one in sorted(found, key=lambda one: one.uid != kind) if one.type == kind), None)


def _passes(context: Context, source: _Source) -> bool:
    try:
        health = context.get_json(
            _SourceHealth, GRAFANA, f"/api/datasources/uid/{quote(source.uid, safe='')}/health"
        )
    except ProbeError as error:
        if error.outcome in REFUSED or error.status is None:
            raise
        return error.status in NO_HEALTH_CHECK
    return health.status == "OK"
