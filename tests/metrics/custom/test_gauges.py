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


def test_gauges() -> None:
    """A metric, also an info metric, is a gauge with its help, labels and series; 0.0 replaces -0.0."""
    snapshot = Snapshot(custom={LIMIT: CustomSeries((A, B)), TRAITS: NO_SERIES})
    rows = list(custom_gauges((LIMIT, TRAITS)))

    limit = ("gatewayz_limit", Kind.GAUGE, "A limit.", ("provider",))
    traits = ("gatewayz_traits_info", Kind.GAUGE, "Traits.", ("provider", "tier"))
    assert [limit, traits] == [(row.name, row.kind, row.help, row.labels) for row in rows]
    assert [[(("a",), "5.0"), (("b",), "0.0")], []] == [
        [(labels, str(value)) for labels, value in row.read(snapshot)] for row in rows if row.read is not None
    ]
