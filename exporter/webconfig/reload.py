"""The web configuration in force: read anew, without a restart, when a file of it has changed."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator

from exporter.clock import Clock
from exporter.webconfig.config import Reading, WebConfig, read

LOGGER = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the files, however many connections and requests come."""
RESTART = "restart the exporter, or take it back"


class WebFile:
    """Gives the newest good configuration; for one thread alone, that of the event loop."""

    def __init__(self, reading: Reading, clock: Clock, on_change: Callable[[bool], None]) -> None:
        """Begin with a good reading.

        Args:
            reading: Of the start, without problems.
            clock: For the time between two looks.
            on_change: Told whether the file is of use, each time that this changes.
        """
        self._reading = reading
        self._config = reading.config
        self._clock = clock
        self._on_change = on_change
        self._is_of_use = True
        self._next_look = clock.age() + LOOK_SECONDS

    @property
    def current(self) -> WebConfig:
        """The configuration in use, without a look at the files; may be read from any thread."""
        return self._config

    def newest(self) -> WebConfig:
        """Return the configuration in force, after a look at the files where one is due."""
        now = self._clock.age()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            if self._reading.is_outdated:
                self._read_again()
        return self._config

    def reload(self) -> None:
        """Read the files now if they have changed or cannot be used, and log the outcome in any case."""
        if self._reading.is_outdated or not self._is_of_use:
            self._read_again()
        else:
            LOGGER.info("Web config unchanged")

    def _read_again(self) -> None:
        self._reading = read(self._reading.path)
        problems = self._reading.problems or tuple(_opened(self._config, self._reading.config))
        if self._is_of_use == bool(problems):
            self._is_of_use = not problems
            self._on_change(self._is_of_use)
        if problems:
            hint = " ".join(("The last good one stays in force.", *problems))
            LOGGER.warning("Web config not reloaded", extra={"hint": hint})
        else:
            before, self._config = self._config, self._reading.config
            LOGGER.info("Web config reloaded")
            for warning in self._config.warnings:
                if warning not in before.warnings:
                    LOGGER.warning("Questionable setting", extra={"hint": warning})


def _opened(old: WebConfig, new: WebConfig) -> Iterator[str]:
    """Name what a running exporter does not do: a file that is seen half written must open no door."""
    if (old.tls is None) != (new.tls is None):
        yield f"tls_server_config cannot come or go while the exporter runs: {RESTART}."
    if old.users and not new.users:
        yield f"basic_auth_users cannot go while the exporter runs: {RESTART}."
    if old.tls and new.tls:
        if old.tls.verify_mode is ssl.CERT_REQUIRED and new.tls.verify_mode is not ssl.CERT_REQUIRED:
            yield f"client_auth_type cannot go while the exporter runs: {RESTART}."
        if old.tls.has_own_authorities and not new.tls.has_own_authorities:
            yield f"client_ca cannot go while the exporter runs: {RESTART}."
        if old.tls.allowed_sans and not new.tls.allowed_sans:
            yield f"client_allowed_sans cannot go while the exporter runs: {RESTART}."
