"""Which dashboards there are, and their text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generator import exporter, management, provider

FOLDER = Path(__file__).parent.parent / "dashboards"

BOARDS: Mapping[str, Callable[[], Dashboard]] = MappingProxyType(
    {
        "gatewayz-provider-management.json": management.board,
        "gatewayz-provider.json": provider.board,
        "gatewayz-exporter.json": exporter.board,
    }
)
"""What makes each file in `FOLDER`."""


def render(dashboard: Dashboard) -> str:
    """Return the JSON that Grafana reads: keys sorted, so that a change shows as small as it is."""
    return json.dumps(dashboard, cls=JSONEncoder, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
