"""Entry point of the command line; installs signal handlers before anything else."""

from __future__ import annotations

import os
import sys
from types import FrameType

from exporter.system.signals import handle_hangup, handle_stop
from exporter.web import healthcheck

STDERR = 2


def main() -> None:
    """Run the command line; exit codes are those of `exporter.cli`."""
    if sys.argv[1:] == ["healthcheck"] and (code := healthcheck.main(os.environ)) is not None:
        sys.exit(code)
    handle_hangup(_ignore)
    handle_stop(_exit)
    _open_standard_descriptors()
    # Imported after the handlers are installed: imports are slow, and a signal would kill the process.
    from exporter.config.pythonpath import remove_agents

    remove_agents(os.environ)
    from exporter.cli import cli

    cli(prog_name="provider-metrics-exporter")


def _exit(number: int, frame: FrameType | None) -> None:
    """Exit at once: nothing has started that needs a shutdown."""
    os._exit(0)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: no file has been read yet."""


def _open_standard_descriptors() -> None:
    """Open closed standard descriptors read-only, so that no connection becomes standard output.

    Writes to them still fail, and the log counts its records as lost.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= STDERR:
        pass
    os.close(descriptor)


if __name__ == "__main__":
    main()
