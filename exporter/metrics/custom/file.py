"""The custom metrics in force: read anew, without a restart, when their file has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from exporter.metrics.custom.config import Definition, read
from exporter.model.custom import CustomMetrics

LOGGER = logging.getLogger(__name__)


class CustomFile:
    """Gives the newest good definition; for one thread alone, that of the poller."""

    def __init__(self, definition: Definition, on_change: Callable[[bool], None]) -> None:
        """Begin with a good definition.

        Args:
            definition: Of the start, without problems.
            on_change: Told whether the file is of use, each time that this changes.
        """
        self._definition = definition
        self._metrics = definition.metrics
        self._on_change = on_change
        self._is_of_use = True

    def newest(self) -> CustomMetrics:
        """Return the custom metrics in force, after a look at the file."""
        if self._definition.is_outdated:
            self._read_again()
        return self._metrics

    def reload(self) -> None:
        """Read the file now if it has changed or cannot be used, and log the outcome in any case."""
        if self._definition.is_outdated or not self._is_of_use:
            self._read_again()
        else:
            LOGGER.info("Custom metrics unchanged")

    def _read_again(self) -> None:
        self._definition = read(self._definition.path)
        problems = self._definition.problems
        if self._is_of_use == bool(problems):
            self._is_of_use = not problems
            self._on_change(self._is_of_use)
        if problems:
            hint = " ".join(("The last good one stays in force.", *problems))
            LOGGER.warning("Custom metrics not reloaded", extra={"hint": hint})
        else:
            self._metrics = self._definition.metrics
            LOGGER.info("Custom metrics reloaded")
