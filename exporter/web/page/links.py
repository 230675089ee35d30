"""Links to Grafana (the boards, traces in Explore) and to the runbooks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

TRACE_SOURCE = "tempo"
"""UID of the data source of traces (grafana/provisioning/datasources/)."""


@dataclass(frozen=True, slots=True)
class Links:
    """Links to other servers; they are empty without the URL of the server."""

    grafana_url: str = ""
    """Root of Grafana, without a trailing slash; empty: there is none."""
    runbook_url: str = ""
    """Root of the repository's pages, in the same way."""

    def boards(self) -> str:
        """Return the link to the board of all providers."""
        return self._in_grafana("/d/gatewayz-provider-management")

    def board(self, slug: str) -> str:
        """Return the link to the board of a provider."""
        return self._in_grafana(f"/d/gatewayz-provider?var-provider={quote(slug, safe='', errors='replace')}")

    def trace(self, trace_id: str) -> str:
        """Return the link to a trace."""
        query = {
            "refId": "A",
            "datasource": {"type": "tempo", "uid": TRACE_SOURCE},
            "queryType": "traceql",
            "query": trace_id,
        }
        # Grafana 9 knows the parameter left only; newer versions still read it.
        left = {"datasource": TRACE_SOURCE, "queries": [query], "range": {"from": "now-1h", "to": "now"}}
        return self._in_grafana(f"/explore?orgId=1&left={quote(json.dumps(left), safe='')}")

    def runbook(self, alert: str) -> str:
        """Return the link to the runbook of an alert."""
        return f"{self.runbook_url}/{runbook_path(alert)}" if self.runbook_url else ""

    def _in_grafana(self, path: str) -> str:
        return f"{self.grafana_url}{path}" if self.grafana_url else ""


NO_LINKS = Links()


def runbook_path(alert: str) -> str:
    """Return the path of an alert's runbook in the repository."""
    return f"docs/runbooks/{alert}.md"
