"""The dashboards, and their rendering as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, Dashboard, DashboardLink, VariableModel
from grafana_foundation_sdk.models.table import Options as TableOptions

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


UNKNOWN: Sequence[tuple[type[Any], frozenset[str]]] = (
    (DashboardLink, frozenset({"placement"})),
    (AnnotationQuery, frozenset({"placement"})),
    (VariableModel, frozenset({"auto", "auto_min", "auto_count"})),
    (TableOptions, frozenset({"footer"})),
)
"""Fields that the SDK writes by default, and that Grafana's schema does not have or no longer has."""


class Encoder(JSONEncoder):
    """The encoder of the SDK, without `UNKNOWN`."""

    def default(self, obj: Any) -> Any:
        """Return an object as JSON types."""
        tree = super().default(obj)
        unknown = [fields for kind, fields in UNKNOWN if isinstance(obj, kind)]
        return {name: value for name, value in tree.items() if not any(name in fields for fields in unknown)}


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
