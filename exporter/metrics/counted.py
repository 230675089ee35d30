"""OTLP exporters that count their failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CountedExporter:
    """An exporter of any signal that calls `failed` for each export that does not succeed."""

    def __init__(self, exporter: Any, failed: Callable[[], None]) -> None:
        """Wrap `exporter`."""
        self._exporter = exporter
        self._failed = failed

    def export(self, batch: Any) -> Any:
        """Export, and return the exporter's result."""
        result = None
        try:
            result = self._exporter.export(batch)
        finally:
            # The SDK has a result type for each signal, with the same names.
            if result is None or result.name != "SUCCESS":
                self._failed()
        return result

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the exporter."""
        return getattr(self._exporter, name)


def counted(exporter: Any, failed: Callable[[], None]) -> Any:
    """Return the exporter, wrapped; None stays None."""
    return None if exporter is None else CountedExporter(exporter, failed)
