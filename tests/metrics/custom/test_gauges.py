"""Tests of the instruments for custom metrics."""

from __future__ import annotations

from exporter.metrics.custom.gauges import custom_gauges, series_of
from exporter.metrics.instruments import Kind
from exporter.model.custom import NO_SERIES, CustomSample, CustomSeries
from exporter.model.snapshot import Snapshot
from tests.metrics.custom.metrics import gauge, info, label

LIMIT, TRAITS = gauge("limit"), info(label("tier"))
A = CustomSample(5.0, {"provider": "a"})
B = CustomSample(0.0, {"provider": "b", "tier": "x"})


def test_rows() -> None:
    """Each metric, also an info metric, is a gauge with its name and help."""
    assert [("gatewayz_limit", Kind.GAUGE, "A limit."), ("gatewayz_traits_info", Kind.GAUGE, "Traits.")] == [
        (row.name, row.kind, row.help) for row in custom_gauges((LIMIT, TRAITS))
    ]


def test_reading() -> None:
    """An instrument observes the series of its metric."""
    snapshot = Snapshot(custom={LIMIT: CustomSeries((A, B)), TRAITS: NO_SERIES})
    reads = [row.read for row in custom_gauges((LIMIT, TRAITS))]

    assert [[(5.0, A.labels), (0.0, B.labels)], []] == [
        [(seen.value, seen.attributes) for seen in read(snapshot)] for read in reads if read is not None
    ]


def test_series() -> None:
    """A series is identified by name and label values."""
    readings = {LIMIT: CustomSeries((A, B)), TRAITS: CustomSeries((A,))}

    assert [("gatewayz_limit", "a"), ("gatewayz_limit", "b", "x"), ("gatewayz_traits_info", "a")] == list(
        series_of(readings)
    )
