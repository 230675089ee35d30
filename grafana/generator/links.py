"""Links between dashboards, and to traces in Explore."""

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
"""The selected data sources and job."""
SAME = f"{CHOSEN}&${{__url_time_range}}"
"""The same, and the time range."""


def board(title: str, uid: str) -> DashboardLink:
    """Return a link to another dashboard with the same data sources, job and time range.

    Selected providers are left out: one dashboard takes several or all of them, the other a single one.
    """
    link = DashboardLink(title).type(DashboardLinkType.LINK).url(f"/d/{uid}?{CHOSEN}").icon("dashboard")
    return link.keep_time(True)


def notifications() -> DashboardLink:
    """Return a link to what Alertmanager notifies and silences; the provisioned data source has this name."""
    link = DashboardLink("Notifications").type(DashboardLinkType.LINK).icon("bell")
    return link.url("/alerting/groups?alertmanager=Alertmanager")


def provider(slug: str) -> DashboardLink:
    """Return a data link to the dashboard of a provider; `slug` is a Grafana expression."""
    url = f"/d/{PROVIDER}?{SAME}&var-provider=${{{slug}:percentencode}}"
    return DashboardLink("Show this provider").url(url)


def trace_here(uid: str) -> DashboardLink:
    """Return a data link from a trace id to its trace on the same dashboard."""
    return DashboardLink("Show this trace below").url(
        f"/d/{uid}?{SAME}&${{provider:queryparam}}&var-trace=${{__value.raw}}"
    )


def failed_fetches() -> DashboardLink:
    """Return a data link from a series to the traces with its outcome in the time range."""
    query = f'{{{SERVICE} && name=~"fetch .*" && span.error.type="${{__field.labels.outcome}}"}}'
    return DashboardLink("Traces of these failures").url(explore_traces(query)).target_blank(True)


def explore_traces(query: str) -> str:
    """Return the URL of a TraceQL query in Explore for the time range."""
    source = {"type": "tempo", "uid": "${tempo}"}
    target = {"refId": "A", "datasource": source, "queryType": "traceql", "query": query, "limit": 20}
    times = {"from": "${__from}", "to": "${__to}"}
    # The form of Grafana 9, which newer versions migrate.
    left = {"datasource": "${tempo}", "queries": [target], "range": times}
    return f"/explore?orgId=${{__org.id}}&left={_encoded(json.dumps(left))}"


def _encoded(text: str) -> str:
    """Percent-encode a text, except for Grafana's expressions, which Grafana replaces."""
    return re.sub(r"%24%7B([\w.]+)%7D", r"${\1}", quote(text, safe=""))
