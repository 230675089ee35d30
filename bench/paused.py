"""Runs a contestant with a short pause in the OpenTelemetry reader, to provoke races between scrapes.

`python -m bench.paused MODULE ARGUMENTS...`
"""

from __future__ import annotations

import runpy
import sys
import time
from typing import Any

from opentelemetry.exporter import prometheus

PAUSE_SECONDS = 0.0001


class PausingCollector(prometheus._CustomCollector):
    """Pauses between receiving and using a collection."""

    def add_metrics_data(self, metrics_data: Any) -> None:
        """Receive a collection."""
        super().add_metrics_data(metrics_data)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    # The reader has no parameter for its collector.
    prometheus._CustomCollector = PausingCollector  # type: ignore[misc]
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
