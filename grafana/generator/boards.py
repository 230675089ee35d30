"""Which dashboards there are, and their text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, Dashboard, DashboardLink

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


class Encoder(JSONEncoder):
    """The SDK's, but for links and marks, which it would hide in a menu."""

    def default(self, obj: Any) -> Any:
        """Return what JSON knows."""
        tree = super().default(obj)
        if isinstance(obj, DashboardLink | AnnotationQuery):
            del tree["placement"]
        return tree


def render(dashboard: Dashboard) -> str:
    """Return the JSON that Grafana reads: keys sorted, so that a change shows as small as it is."""
    return json.dumps(dashboard, cls=Encoder, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
