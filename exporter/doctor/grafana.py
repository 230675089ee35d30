"""The checks of `doctor` on Grafana: itself, its data sources, the dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from exporter.doctor.context import Case
from exporter.doctor.probe import NoAnswer
from exporter.doctor.report import Finding, State, failed, ok, shown
from exporter.doctor.targets import GRAFANA
from exporter.errors import Outcome

SOURCE_TYPES = ("prometheus", "loki", "tempo")
"""What the dashboards ask."""
DASHBOARDS: Mapping[str, str] = MappingProxyType(
    {
        "gatewayz-provider-management": "GatewayZ Provider Management",
        "gatewayz-provider": "GatewayZ Provider",
        "gatewayz-exporter": "GatewayZ Exporter",
    }
)
"""Title by uid."""
CANNOT_ASK_ITSELF = frozenset({404, 501})
"""A data source of a version that has no health check is answered with one of these."""
REFUSED = frozenset({Outcome.UNAUTHORIZED, Outcome.FORBIDDEN})

DATABASE_DOWN = "Look into Grafana's log."
NO_SOURCES = (
    "Add them as in grafana/provisioning/datasources/, or in Grafana under Connections > Data sources."
)
SICK_SOURCES = (
    "Test it in Grafana under Connections > Data sources: its URL must be right from where Grafana runs."
)
NO_DASHBOARDS = (
    "Provision or import the files in grafana/dashboards/; who asks must be allowed to see their folder."
)
NOBODY = "To look further, set GRAFANA_TOKEN, or GRAFANA_TOKEN_FILE, to the token of a service account."


class _Health(msgspec.Struct):
    database: str
    version: str = "not told"


class _Source(msgspec.Struct):
    uid: str
    type: str
    name: str


class _SourceHealth(msgspec.Struct):
    status: str


class _Hit(msgspec.Struct):
    uid: str


def grafana(case: Case) -> Finding:
    """Ask Grafana whether it is well."""
    health = case.ask_for(_Health, GRAFANA, "/api/health")
    if health.database != "ok":
        return failed("its database is not well", DATABASE_DOWN)
    return ok(f"version {shown(health.version)}")


def sources(case: Case) -> Finding:
    """Look for the data sources of the dashboards, and have Grafana test each."""
    if GRAFANA not in case.addresses.identities:
        return Finding(State.SKIPPED, "no token", NOBODY)
    found = case.ask_for(list[_Source], GRAFANA, "/api/datasources")
    chosen = {kind: _of_type(kind, found) for kind in SOURCE_TYPES}
    missing = [kind for kind, source in chosen.items() if source is None]
    if missing:
        return failed(f"none of type {', '.join(missing)}", NO_SOURCES)
    sick = [shown(source.name) for source in chosen.values() if source and not _is_well(case, source)]
    if sick:
        return failed(f"{', '.join(sick)}: Grafana gets no good answer", SICK_SOURCES)
    return ok(", ".join(shown(source.name) for source in chosen.values() if source))


def dashboards(case: Case) -> Finding:
    """Look for our dashboards."""
    if GRAFANA not in case.addresses.identities:
        return Finding(State.SKIPPED, "no token", NOBODY)
    hits = case.ask_for(
        list[_Hit], GRAFANA, "/api/search", {"type": "dash-db", "dashboardUIDs": list(DASHBOARDS)}
    )
    seen = {hit.uid for hit in hits}
    missing = [title for uid, title in DASHBOARDS.items() if uid not in seen]
    return (
        failed(f"missing: {', '.join(missing)}", NO_DASHBOARDS) if missing else ok(f"all {len(DASHBOARDS)}")
    )


def _of_type(kind: str, found: list[_Source]) -> _Source | None:
    """Return the source of a type; of several, the one that this project provisions."""
    return next((one for one in sorted(found, key=lambda one: one.uid != kind) if one.type == kind), None)


def _is_well(case: Case, source: _Source) -> bool:
    try:
        health = case.ask_for(
            _SourceHealth, GRAFANA, f"/api/datasources/uid/{quote(source.uid, safe='')}/health"
        )
    except NoAnswer as error:
        if error.outcome in REFUSED or error.status is None:
            raise
        return error.status in CANNOT_ASK_ITSELF
    return health.status == "OK"
