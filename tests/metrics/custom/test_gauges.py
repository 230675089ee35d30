"""Tests of the instruments for custom metrics."""

from __future__ import annotations

from exporter.metrics.custom.gauges import custom_gauges
from exporter.metrics.instruments import Kind
from exporter.model.custom import NO_SERIES, CustomSample, CustomSeries
from exporter.model.snapshot import Snapshot
from tests.metrics.custom.metrics import gauge, info, label

LIMIT, TRAITS = gauge("limit"), info(label("tier"))
A = CustomSample(5.0, {"provider": "a"})
B = CustomSample(-0.0, {"provider": "b"})


def test_rows() -> None:
    """Each metric, also an info metric, is a gauge with its name and help."""
    assert [("gatewayz_limit", Kind.GAUGE, "A limit."), ("gatewayz_traits_info", Kind.GAUGE, "Traits.")] == [
        (row.name, row.kind, row.help) for row in custom_gauges((LIMIT, TRAITS))
    ]


def test_reading() -> None:
    """An instrument has the labels of its metric and the series in the snapshot; 0.0 replaces -0.0."""
    snapshot = Snapshot(custom={LIMIT: CustomSeries((A, B)), TRAITS: NO_SERIES})
    rows = list(custom_gauges((LIMIT, TRAITS)))

    assert [("provider",), ("provider", "tier")] == [row.labels for row in rows]
    assert [[(("a",), "5.0"), (("b",), "0.0")], []] == [
        [(labels, str(value)) for labels, value in row.read(snapshot)] for row in rows if row.read is not None
    ]
