"""The current web configuration, reloaded when its file, or a file that it names, changes."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator

from exporter.clock import Clock
from exporter.files.reload import Messages, Reloader
from exporter.webconfig.config import WebConfig, WebConfigVersion, read

LOGGER = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""Minimum time between two checks of the files, independent of the number of requests."""
RESTART = "restart the exporter, or undo the change"


class WebFile:
    """Returns the last valid configuration; all but `current` belongs to the event loop's thread."""

    def __init__(self, version: WebConfigVersion, clock: Clock, on_change: Callable[[bool], None]) -> None:
        """Start with a valid version.

        Args:
            version: Read at startup, without problems.
            clock: Times the checks.
            on_change: Called with False when reloads begin to fail, and with True when they succeed again.
        """
        messages = Messages("Web config reloaded", "Web config unchanged", "Web config not reloaded")
        self._file = Reloader(version, lambda: read(version.path), messages, on_change, _refuse)
        self._clock = clock
        self._next_check = clock.age() + CHECK_SECONDS

    @property
    def current(self) -> WebConfig:
        """The current configuration, without a check of the files; may be read from any thread."""
        return self._file.current.config

    def newest(self) -> WebConfig:
        """Return the current configuration, after a check of the files if one is due."""
        now = self._clock.age()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._update(self._file.newest)
        return self.current

    def reload(self) -> None:
        """Read the files if they have changed or are invalid, and log the result."""
        self._update(self._file.reload)

    def _update(self, update: Callable[[], object]) -> None:
        """Call `update`, and log the warnings that the new configuration adds."""
        before = self.current
        update()
        for warning in self.current.warnings:
            if warning not in before.warnings:
                LOGGER.warning("Questionable setting", extra={"hint": warning})


def _refuse(current: WebConfigVersion, new: WebConfigVersion) -> Iterator[str]:
    """Yield why a change needs a restart: a file that is being written must not weaken access control."""
    old_tls, new_tls = current.config.tls, new.config.tls
    if (old_tls is None) != (new_tls is None):
        yield f"tls_server_config cannot be added or removed while the exporter runs: {RESTART}."
    if current.config.users and not new.config.users:
        yield f"basic_auth_users cannot be removed while the exporter runs: {RESTART}."
    if old_tls and new_tls:
        if old_tls.verify_mode is ssl.CERT_REQUIRED and new_tls.verify_mode is not ssl.CERT_REQUIRED:
            yield f"client_auth_type cannot be weakened while the exporter runs: {RESTART}."
        if old_tls.has_own_authorities and not new_tls.has_own_authorities:
            yield f"client_ca cannot be removed while the exporter runs: {RESTART}."
        if old_tls.allowed_sans and not new_tls.allowed_sans:
            yield f"client_allowed_sans cannot be removed while the exporter runs: {RESTART}."
