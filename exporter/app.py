"""The running exporter: its parts put together, started in order, stopped in reverse."""

from __future__ import annotations

import logging
import os
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from exporter import __version__
from exporter.clock import Clock, SystemClock
from exporter.config.settings import Settings
from exporter.metrics.instruments import ReloadedFile
from exporter.poll.poller import Poller
from exporter.system.memory import limit_malloc_arenas, raise_gc_threshold
from exporter.system.signals import handle_reload, handle_stop
from exporter.telemetry import logs
from exporter.telemetry.sdk import Telemetry, open_telemetry
from exporter.telemetry.stdout import OutputHandler
from exporter.web import healthsocket
from exporter.web.routes import Web, health_paths
from exporter.web.server import (
    LAST_RESORT_SECONDS,
    Listener,
    Server,
    SideDoor,
    allow_many_connections,
    end_within,
)
from exporter.web.status import StatusPage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.metrics.custom.config import Definition
    from exporter.webconfig.config import Reading

LOGGER = logging.getLogger(__name__)

STDOUT = 1
POLLER_SECONDS = 0.5
FLUSH_SECONDS = 2.0
"""With the limits of server and log these stay below the 5 s within which a signal ends the process."""


def run(
    settings: Settings,
    web_file: Reading | None,
    custom: Definition | None,
    listeners: Sequence[socket.socket],
) -> int:
    """Run until a signal asks for the end, and return the exit code: 0, or 1 when the poller died.

    Args:
        settings: All of them.
        web_file: The web configuration file, without problems, where there is one.
        custom: The file of custom metrics, without problems, where there is one.
        listeners: Bound, and closed at the end; `healthcheck` finds the exporter by the first.

    Raises:
        SettingsError: When the OpenTelemetry SDK refuses one of its own variables.
    """
    limit_malloc_arenas()
    raise_gc_threshold()
    clock = SystemClock()
    output = OutputHandler(STDOUT)
    formatter = logs.formatter(settings.log_format, is_terminal=os.isatty(STDOUT))
    logs.configure(output, settings.log_level, clock, formatter)
    telemetry = open_telemetry(settings.telemetry, output.lost)
    logs.export(telemetry.logger_provider)
    poller = _poller(settings, clock, telemetry, custom)
    page = StatusPage(settings.interval, settings.web.telemetry_path)
    web = Web(poller.published, clock, page, settings.web.telemetry_path, settings.web.route_prefix)
    allow_many_connections()
    has_files = settings.admin_key_file or web_file or custom
    on_reload = poller.reload if has_files else _report_no_files
    server = _server(settings, web_file, web, telemetry, clock, listeners[0], on_reload)
    # The server handles stop signals while it serves; these are for the moments before and after.
    handle_stop(server.handle_exit)
    handle_reload(server.handle_reload)
    polling = Polling(poller, server)
    for listener in listeners:
        _announce(settings, web_file, listener)
    _warn(settings, web_file)
    polling.start()
    try:
        server.run(list(listeners))
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


def _poller(settings: Settings, clock: Clock, telemetry: Telemetry, definition: Definition | None) -> Poller:
    """Return the poller, with the custom metrics where a file defines some."""
    if definition is None:
        return Poller(settings, clock, telemetry.tracer, telemetry.metrics)
    from exporter.metrics.custom.file import CustomFile

    on_change = partial(telemetry.metrics.events.reload_changed, ReloadedFile.CUSTOM_METRICS)
    file = CustomFile(definition, on_change)
    return Poller(settings, clock, telemetry.tracer, telemetry.metrics, file.newest, file.reload)


def _server(
    settings: Settings,
    web_file: Reading | None,
    web: Web,
    telemetry: Telemetry,
    clock: Clock,
    listener: socket.socket,
    on_reload: Callable[[], None],
) -> Server:
    """Return the server, with what the web configuration file asks for before the routes."""
    app = web.app(telemetry.scrape_middleware())
    side_door = _side_door(web, settings.web.host, listener.getsockname()[1])
    if web_file is None:
        return Server(app, side_door=side_door, on_reload=on_reload)
    from exporter.webconfig.authentication import AuthenticationMiddleware
    from exporter.webconfig.reload import WebFile
    from exporter.webconfig.tls import ReloadingContext

    told = partial(telemetry.metrics.events.reload_changed, ReloadedFile.WEB_CONFIG)
    in_force = WebFile(web_file, clock, told)
    telemetry.metrics.events.watch_certificates(
        lambda: in_force.current.tls.expiry if in_force.current.tls else {}
    )
    access = AuthenticationMiddleware(
        app,
        in_force.newest,
        clock,
        protect_health=settings.web.protect_health,
        health_paths=health_paths(settings.web.route_prefix),
    )
    first = web_file.config.tls
    # It never goes while the exporter runs.
    tls = ReloadingContext(lambda: in_force.newest().tls or first) if first else None

    def reload() -> None:
        in_force.reload()
        on_reload()

    return Server(access, tls, side_door, reload)


def _report_no_files() -> None:
    LOGGER.info("Nothing to reload", extra={"hint": "No setting names a file that is read again."})


def _side_door(web: Web, host: str, port: int) -> SideDoor | None:
    try:
        return SideDoor(web.health_app(), Listener(fileno=healthsocket.bind(host, port).detach()))
    except OSError as error:
        hint = (
            f"The socket for `healthcheck` cannot be bound: {error.strerror}. It will ask the port over "
            "plain HTTP, which fails where TLS or a password for the health routes is asked for."
        )
        LOGGER.warning("Health socket not open", extra={"hint": hint})
        return None


def _announce(settings: Settings, web_file: Reading | None, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    config = web_file.config if web_file else None
    LOGGER.info(
        "Listening",
        extra={
            "host": host,
            "port": port,
            "version": __version__,
            "tls": config is not None and config.tls is not None,
            "auth": config is not None and bool(config.users),
            "gateway": settings.gateway_url,
            "scrape_interval": settings.interval,
            "fetch_timeout": settings.fetch_timeout,
            "stale_after": settings.stale_after,
        },
    )


def _warn(settings: Settings, web_file: Reading | None) -> None:
    config = web_file.config if web_file else None
    warnings = [*settings.warnings, *(config.warnings if config else ())]
    if settings.web.protect_health and not (config and config.users):
        warnings.append("PROTECT_HEALTH_ROUTES without basic_auth_users in WEB_CONFIG_FILE protects nothing.")
    for warning in warnings:
        LOGGER.warning("Questionable setting", extra={"hint": warning})
