"""Custom metrics by keyword, for tests that are not about the file of them."""

from __future__ import annotations

from typing import Any

from exporter.metrics.custom.expression import compile_expression
from exporter.model.custom import CustomKind, CustomMetric, ExtractedLabel
from exporter.model.endpoints import Endpoint


def gauge(path: str, name: str = "gatewayz_limit", **more: Any) -> CustomMetric:
    """Return a gauge of the list, with more of its attributes as keywords."""
    given = {"help": "A limit.", "source": Endpoint.PROVIDERS, "constant_labels": (), "labels": (), **more}
    return CustomMetric(name=name, kind=CustomKind.GAUGE, path=compile_expression(path), **given)


def info(*labels: ExtractedLabel, name: str = "gatewayz_traits_info", **more: Any) -> CustomMetric:
    """Return an info metric of the list."""
    given = {"help": "Traits.", "source": Endpoint.PROVIDERS, "constant_labels": (), **more}
    return CustomMetric(name=name, kind=CustomKind.INFO, path=None, labels=labels, **given)


def label(name: str, path: str = "", max_values: int = 10) -> ExtractedLabel:
    """Return a label whose value stands at a path, by default at its own name."""
    return ExtractedLabel(name, compile_expression(path or name), max_values)
