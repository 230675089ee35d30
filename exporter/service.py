"""The running exporter: its parts put together, started in order, stopped in reverse."""

from __future__ import annotations

import logging
import os
import socket
import threading

import uvicorn

from exporter import __version__, logs
from exporter.clock import SystemClock
from exporter.output import OutputHandler
from exporter.poller import Poller
from exporter.server import LAST_RESORT_SECONDS, allow_many_connections, end_within, make_server
from exporter.settings import Settings
from exporter.signals import handle_stop
from exporter.status import StatusPage
from exporter.telemetry import open_telemetry, prepare_environment
from exporter.web import Web

LOGGER = logging.getLogger(__name__)

STDOUT = 1
POLLER_SECONDS = 0.5
FLUSH_SECONDS = 2.0
"""With the limits of server and log these stay below the 5 s within which a signal ends the process."""


def run(settings: Settings, listener: socket.socket) -> int:
    """Run until a signal asks for the end, and return the exit code: 0, or 1 when the poller died.

    Args:
        settings: All of them.
        listener: Bound, and closed at the end.

    Raises:
        SettingsError: When the OpenTelemetry SDK refuses one of its own variables.
    """
    clock = SystemClock()
    prepare_environment(os.environ)
    output = OutputHandler(STDOUT)
    logs.configure(output, settings.log_level, clock)
    telemetry = open_telemetry(settings.telemetry, output.lost)
    logs.export(telemetry.logger_provider)
    poller = Poller(settings, clock, telemetry.tracer, telemetry.metrics)
    web = Web(poller.published, clock, StatusPage(settings.interval))
    allow_many_connections()
    server = make_server(web.app(telemetry.scrape_middleware()))
    # The server heeds signals while it serves; these are for the moments before and after.
    handle_stop(server.handle_exit)
    polling = Polling(poller, server)
    _announce(settings, listener)
    polling.start()
    try:
        server.run([listener])
    finally:
        polling.stop(POLLER_SECONDS)
        LOGGER.info("Stopped")
        telemetry.shutdown(FLUSH_SECONDS)
    return 1 if polling.died else 0


class Polling:
    """The poller's thread; when it dies, the server is told to end, for a dead poller must not look alive."""

    def __init__(self, poller: Poller, server: uvicorn.Server) -> None:
        """Prepare the thread."""
        self._poller = poller
        self._server = server
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self.died = False

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ask the poller to end, and wait for it for at most `seconds`."""
        self._poller.stop()
        self._thread.join(seconds)
        self._poller.close()

    def _run(self) -> None:
        try:
            self._poller.run()
        except Exception:
            self.died = True
            end_within(LAST_RESORT_SECONDS, code=1)
            LOGGER.critical(
                "The poller died", exc_info=True, extra={"hint": "This is a bug: please report it."}
            )
        finally:
            self._server.should_exit = True


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    LOGGER.info(
        "Listening",
        extra={
            "host": host,
            "port": port,
            "version": __version__,
            "gateway": settings.gateway_url,
            "scrape_interval": settings.interval,
            "fetch_timeout": settings.fetch_timeout,
            "stale_after": settings.stale_after,
        },
    )
    for warning in settings.warnings:
        LOGGER.warning("Questionable setting", extra={"hint": warning})
