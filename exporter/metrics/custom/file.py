"""The current custom metrics, reloaded when their file changes."""

from __future__ import annotations

from collections.abc import Callable

from exporter.files.reload import Messages, Reloader
from exporter.metrics.custom.config import CustomMetricsVersion, read
from exporter.model.custom import CustomMetrics


class CustomFile:
    """Returns the custom metrics of the last valid file."""

    def __init__(self, version: CustomMetricsVersion, on_change: Callable[[bool], None]) -> None:
        """Start with a valid version.

        Args:
            version: Read at startup, without problems.
            on_change: Called with False when reloads begin to fail, and with True when they succeed again.
        """
        messages = Messages(
            "Custom metrics reloaded", "Custom metrics unchanged", "Custom metrics not reloaded"
        )
        self._file = Reloader(version, lambda: read(version.path), messages, on_change)

    def newest(self) -> CustomMetrics:
        """Return the current custom metrics, after a check of the file."""
        return self._file.newest().metrics

    def reload(self) -> None:
        """Read the file if it has changed or is invalid, and log the result."""
        self._file.reload()
