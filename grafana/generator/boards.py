"""The dashboards, and their rendering as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, Dashboard, DashboardLink

from grafana.generator import exporter, management, provider
from grafana.generator.sources import IMPORT_INPUT

FOLDER = Path(__file__).parent.parent / "dashboards"

BOARDS: Mapping[str, Callable[[], Dashboard]] = MappingProxyType(
    {
        "gatewayz-provider-management.json": management.board,
        "gatewayz-provider.json": provider.board,
        "gatewayz-exporter.json": exporter.board,
    }
)
"""Generators by file in `FOLDER`."""


class Encoder(JSONEncoder):
    """The encoder of the SDK, without the placement of links and annotations in a menu."""

    def default(self, obj: Any) -> Any:
        """Return an object as JSON types."""
        tree = super().default(obj)
        if isinstance(obj, DashboardLink | AnnotationQuery):
            del tree["placement"]
        return tree


INPUTS = [
    {
        "name": IMPORT_INPUT,
        "label": "Metrics",
        "description": "The Prometheus that scrapes the exporter",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }
]
"""What the import dialog asks for."""


def render(dashboard: Dashboard) -> str:
    """Return a dashboard as JSON with sorted keys."""
    tree = {"__inputs": INPUTS, **dashboard.to_json()}
    return json.dumps(tree, cls=Encoder, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
