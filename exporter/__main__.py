"""Entry point of the command line; signals are handled from the first moment on."""

from __future__ import annotations

import os
from types import FrameType

from exporter.config.pythonpath import remove_agents
from exporter.system.signals import handle_hangup, handle_stop

STDERR = 2


def main() -> None:
    """Run the command line; exit codes are those of `exporter.cli`."""
    handle_hangup(_ignore)
    handle_stop(_leave)
    _keep_standard_descriptors()
    remove_agents(os.environ)
    # Only now, since it takes a moment in which a signal would end the process by its default.
    from exporter.cli import cli

    cli(prog_name="provider-metrics-exporter")


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing has begun yet that would have to be ended."""
    os._exit(0)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Go on: no file has been read yet that could be read again."""


def _keep_standard_descriptors() -> None:
    """Fill the standard descriptors that are closed, lest a connection becomes standard output.

    What stands in for them cannot be written to, either: the log counts its records as lost.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= STDERR:
        pass
    os.close(descriptor)


if __name__ == "__main__":
    main()
