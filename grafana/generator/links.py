"""Ways from one picture to another."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from grafana.generator.sources import DASHBOARD_SOURCES, SERVICE

MANAGEMENT = "gatewayz-provider-management"
PROVIDER = "gatewayz-provider"
EXPORTER = "gatewayz-exporter"

CHOSEN = "&".join(f"${{{name}:queryparam}}" for name in (*(row[0] for row in DASHBOARD_SOURCES), "job"))
"""Data sources and job as they are chosen."""
SAME = f"{CHOSEN}&${{__url_time_range}}"
"""The times, too."""


def board(title: str, uid: str) -> DashboardLink:
    """Return a link in a dashboard's head to another one, with the same sources, job and times.

    The choice of providers stays behind: one dashboard has several or all of them, the other a single one.
    """
    link = DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid}?{CHOSEN}").icon("dashboard")
    return link.keep_time(True)


def provider(slug: str) -> DashboardLink:
    """Return a data link to the dashboard of a provider, whose slug is an expression of Grafana's."""
    url = f"/d/{PROVIDER}?{SAME}&var-provider=${{{slug}:percentencode}}"
    return DashboardLink("Show this provider").url(url)


def trace_here(uid: str) -> DashboardLink:
    """Return a data link that shows the trace of a cell on the dashboard where the cell is."""
    return DashboardLink("Show this trace below").url(
        f"/d/{uid}?{SAME}&${{provider:queryparam}}&var-trace=${{__value.raw}}"
    )


def failed_fetches() -> DashboardLink:
    """Return a data link from a series with an outcome to the traces with it in the panel's range."""
    query = f'{{{SERVICE} && name=~"fetch .*" && span.error.type="${{__field.labels.outcome}}"}}'
    return DashboardLink("Traces of these failures").url(explore_traces(query)).target_blank(True)


def explore_traces(query: str) -> str:
    """Return the address of a TraceQL query in Explore over the panel's range."""
    source = {"type": "tempo", "uid": "${tempo}"}
    asked = {"refId": "A", "datasource": source, "queryType": "traceql", "query": query, "limit": 20}
    times = {"from": "${__from}", "to": "${__to}"}
    panes = {"traces": {"datasource": "${tempo}", "queries": [asked], "range": times}}
    return f"/explore?schemaVersion=1&orgId=${{__org.id}}&panes={_encoded(json.dumps(panes))}"


def _encoded(text: str) -> str:
    """Encode for an address all but Grafana's own expressions, which it replaces later."""
    return re.sub(r"%24%7B([\w.]+)%7D", r"${\1}", quote(text, safe=""))
