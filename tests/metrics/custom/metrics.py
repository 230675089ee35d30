"""Builders of custom metrics for tests."""

from __future__ import annotations

from typing import Any

from exporter.metrics.custom.expression import compile_expression
from exporter.model.custom import CustomKind, CustomMetric, ExtractedLabel
from exporter.model.endpoints import Endpoint


def gauge(path: str, name: str = "gatewayz_limit", **more: Any) -> CustomMetric:
    """Return a gauge of the list."""
    attributes = {
        "help": "A limit.",
        "source": Endpoint.PROVIDERS,
        "constant_labels": (),
        "labels": (),
        **more,
    }
    return CustomMetric(name=name, kind=CustomKind.GAUGE, path=compile_expression(path), **attributes)


def info(*labels: ExtractedLabel, name: str = "gatewayz_traits_info", **more: Any) -> CustomMetric:
    """Return an info metric of the list."""
    attributes = {"help": "Traits.", "source": Endpoint.PROVIDERS, "constant_labels": (), **more}
    return CustomMetric(name=name, kind=CustomKind.INFO, path=None, labels=labels, **attributes)


def label(name: str, path: str = "", max_values: int = 10) -> ExtractedLabel:
    """Return a label with the value at a path, by default at its name."""
    return ExtractedLabel(name, compile_expression(path or name), max_values)
