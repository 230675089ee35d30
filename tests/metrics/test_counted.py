"""Tests of `exporter.metrics.counted`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from exporter.metrics.counted import counted


@pytest.mark.parametrize("result", [*SpanExportResult, *LogRecordExportResult, *MetricExportResult])
def test_result(result: SpanExportResult | LogRecordExportResult | MetricExportResult) -> None:
    """A failed export is counted, and its result is returned; other attributes are those of the exporter."""
    failures: list[bool] = []
    exporter = counted(SimpleNamespace(export=lambda batch: result, name="x"), lambda: failures.append(True))

    assert result is exporter.export(())
    assert [True] * (result.name == "FAILURE") == failures
    assert "x" == exporter.name


def test_exception() -> None:
    """An export that raises is counted."""
    failures: list[bool] = []

    def fail(batch: object) -> None:
        raise OSError("no route to the collector")

    with pytest.raises(OSError, match="no route"):
        counted(SimpleNamespace(export=fail), lambda: failures.append(True)).export(())

    assert [True] == failures
