"""Entry point of the command line; signals are heeded from the first moment on."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line; exit codes are those of `exporter.cli`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    # Only now, since it takes a moment in which a signal would end the process by its default.
    from exporter.cli import cli

    cli(prog_name="provider-metrics-exporter")


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing has begun yet that would have to be ended."""
    os._exit(0)


if __name__ == "__main__":
    main()
