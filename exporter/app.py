"""Composition of the running exporter: starts its parts in order and stops them in reverse."""

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
from exporter.status.state import NO_PAST
from exporter.system.memory import limit_malloc_arenas, raise_gc_threshold
from exporter.system.signals import handle_reload, handle_stop
from exporter.telemetry import logs
from exporter.telemetry.sdk import Telemetry, open_telemetry
from exporter.telemetry.stdout import OutputHandler
from exporter.web import healthsocket
from exporter.web.listeners import Listener, raise_descriptor_limit
from exporter.web.page.links import Links
from exporter.web.page.pages import StatusPage
from exporter.web.routes import Web, health_paths
from exporter.web.server import EXIT_SECONDS, HealthListener, Server, force_exit_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.metrics.custom.config import CustomMetricsVersion
    from exporter.model.history import History
    from exporter.prometheus.reader import PastReader
    from exporter.webconfig.config import WebConfigVersion

LOGGER = logging.getLogger(__name__)

STDOUT = 1
POLLER_SECONDS = 0.5
FLUSH_SECONDS = 2.0
"""With the timeouts of server and log, these stay below the 5 s limit of a shutdown."""


def run(
    settings: Settings,
    web_file: WebConfigVersion | None,
    custom: CustomMetricsVersion | None,
    listeners: Sequence[socket.socket],
) -> int:
    """Run until a stop signal, and return the exit code: 0, or 1 when the poll loop died.

    Args:
        settings: All settings.
        web_file: A valid web configuration file, or None.
        custom: A valid file of custom metrics, or None.
        listeners: Bound sockets, closed by this function. The first names the health socket.

    Raises:
        SettingsError: When the SDK rejects a value of an OTEL_* variable.
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
    past = _past(settings, poller.history, clock)
    links = Links(settings.web.grafana_url, settings.web.runbook_url)
    page = StatusPage(settings.interval, settings.web.telemetry_path, links)
    web = Web(
        poller.published,
        poller.history,
        clock,
        page,
        settings.web.telemetry_path,
        settings.web.route_prefix,
        past.current if past else lambda: NO_PAST,
    )
    raise_descriptor_limit()
    has_files = settings.admin_key_file or web_file or custom
    on_reload = poller.reload if has_files else _report_no_files
    server = _server(settings, web_file, web, telemetry, clock, listeners[0], on_reload)
    # uvicorn handles stop signals only while it serves; these handlers also work before and after.
    handle_stop(server.handle_exit)
    handle_reload(server.handle_reload)
    poll_thread = PollThread(poller, server)
    for listener in listeners:
        _log_listening(settings, web_file, listener)
    _log_warnings(settings, web_file)
    poll_thread.start()
    if past:
        past.start()
    try:
        server.run(list(listeners))
    finally:
        poll_thread.stop(POLLER_SECONDS)
        if past:
            past.stop()
        LOGGER.info("Stopped")
        telemetry.shutdown(FLUSH_SECONDS)
    return 1 if poll_thread.died else 0


class PollThread:
    """The thread of the poll loop; if the loop dies, the server stops, so that stale data are not served."""

    def __init__(self, poller: Poller, server: uvicorn.Server) -> None:
        """Create the thread."""
        self._poller = poller
        self._server = server
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self.died = False

    def start(self) -> None:
        """Start to poll."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Stop the poll loop, and wait for it for at most `seconds`."""
        self._poller.stop()
        self._thread.join(seconds)
        self._poller.close()

    def _run(self) -> None:
        try:
            self._poller.run()
        except Exception:
            self.died = True
            force_exit_after(EXIT_SECONDS, code=1)
            LOGGER.critical(
                "The poller died", exc_info=True, extra={"hint": "This is a bug: please report it."}
            )
        finally:
            self._server.should_exit = True


def _poller(
    settings: Settings, clock: Clock, telemetry: Telemetry, version: CustomMetricsVersion | None
) -> Poller:
    """Return the poller, with custom metrics if a file defines them."""
    if version is None:
        return Poller(settings, clock, telemetry.tracer, telemetry.metrics)
    from exporter.metrics.custom.file import CustomFile

    on_change = partial(telemetry.metrics.events.reload_changed, ReloadedFile.CUSTOM_METRICS)
    file = CustomFile(version, on_change)
    return Poller(settings, clock, telemetry.tracer, telemetry.metrics, file.newest, file.reload)


def _past(settings: Settings, history: History, clock: Clock) -> PastReader | None:
    """Return the reader of Prometheus, if there is one and a history to fill."""
    if settings.prometheus is None or not settings.history:
        return None
    from exporter.prometheus.queries import Prometheus
    from exporter.prometheus.reader import PastReader

    return PastReader(Prometheus(settings.prometheus, clock, settings.authorities), history, clock)


def _server(
    settings: Settings,
    web_file: WebConfigVersion | None,
    web: Web,
    telemetry: Telemetry,
    clock: Clock,
    listener: socket.socket,
    on_reload: Callable[[], None],
) -> Server:
    """Return the server, with TLS and authentication if the web configuration file enables them."""
    app = web.app(telemetry.scrape_middleware())
    health = _health_listener(web, settings.web.host, listener.getsockname()[1])
    if web_file is None:
        return Server(app, health=health, on_reload=on_reload)
    from exporter.webconfig.authentication import AuthenticationMiddleware
    from exporter.webconfig.reload import WebFile
    from exporter.webconfig.tls import ReloadingContext

    on_change = partial(telemetry.metrics.events.reload_changed, ReloadedFile.WEB_CONFIG)
    web_config = WebFile(web_file, clock, on_change)
    telemetry.metrics.events.watch_certificates(
        lambda: web_config.current.tls.expiry if web_config.current.tls else {}
    )
    access = AuthenticationMiddleware(
        app,
        web_config.newest,
        clock,
        protect_health=settings.web.protect_health,
        health_paths=health_paths(settings.web.route_prefix),
    )
    first = web_file.config.tls
    # A reload cannot remove the TLS section, so `first` is only a fallback for the type checker.
    tls = ReloadingContext(lambda: web_config.newest().tls or first) if first else None

    def reload() -> None:
        web_config.reload()
        on_reload()

    return Server(access, tls, health, reload)


def _report_no_files() -> None:
    LOGGER.info("Nothing to reload", extra={"hint": "No setting names a file that can be reloaded."})


def _health_listener(web: Web, host: str, port: int) -> HealthListener | None:
    try:
        return HealthListener(web.health_app(), Listener(fileno=healthsocket.bind(host, port).detach()))
    except OSError as error:
        hint = (
            f"The socket for `healthcheck` cannot be bound: {error.strerror}. The command will use the port "
            "with plain HTTP, which fails if the health routes require TLS or a password."
        )
        LOGGER.warning("Health socket not open", extra={"hint": hint})
        return None


def _log_listening(settings: Settings, web_file: WebConfigVersion | None, listener: socket.socket) -> None:
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


def _log_warnings(settings: Settings, web_file: WebConfigVersion | None) -> None:
    config = web_file.config if web_file else None
    warnings = [*settings.warnings, *(config.warnings if config else ())]
    if settings.web.protect_health and not (config and config.users):
        warnings.append("PROTECT_HEALTH_ROUTES has no effect without basic_auth_users in WEB_CONFIG_FILE.")
    for warning in warnings:
        LOGGER.warning("Questionable setting", extra={"hint": warning})
