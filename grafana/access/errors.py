"""Errors of Grafana; an invalid file or environment is a `SettingsError` of the exporter."""

from __future__ import annotations


class GrafanaError(Exception):
    """Grafana did not respond, or refused a request; the text has cause and fix, and no secret.

    Attributes:
        is_transient: Whether another attempt can succeed, as while Grafana starts.
    """

    def __init__(self, text: str, *, is_transient: bool = False) -> None:
        """Describe the failure."""
        super().__init__(text)
        self.is_transient = is_transient
