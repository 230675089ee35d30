"""Reads the settings of the Prometheus from which the history is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config.urls import url_problem
from exporter.errors import SettingsError
from exporter.files.problems import Problems
from exporter.files.secret import Secret, secret_or_file
from exporter.transport.auth import Credentials

DEFAULT_JOB = "provider_metrics"
VARIABLES = (
    ("PROMETHEUS_URL", "", "Root of a Prometheus from which the history is read at the start"),
    ("PROMETHEUS_JOB", DEFAULT_JOB, "The label `job` of the exporter there"),
    ("PROMETHEUS_TENANT", "", "Tenant there, sent as X-Scope-OrgID"),
    ("PROMETHEUS_USER", "", "User there; without one, the password is a bearer token"),
    ("PROMETHEUS_PASSWORD", "", "Password or bearer token there"),
    ("PROMETHEUS_PASSWORD_FILE", "", "File that holds the password, instead of PROMETHEUS_PASSWORD"),
)
"""Name, default and meaning."""


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """A Prometheus that scrapes this exporter."""

    url: str
    """Without a trailing slash."""
    job: str
    """The label `job` of the exporter."""
    tenant: str
    """Empty: none."""
    credentials: Credentials | None = field(repr=False)


def read(environ: Mapping[str, str], problems: Problems) -> PrometheusSettings | None:
    """Return the settings, None without a URL; problems are added to `problems`."""
    url = environ.get("PROMETHEUS_URL", "")
    if not url:
        return None
    credentials = None
    with problems.collect():
        credentials = _credentials(environ)
    if problem := url_problem(url, "they go into PROMETHEUS_USER and PROMETHEUS_PASSWORD"):
        problems.append(f"PROMETHEUS_URL {problem}")
    tenant = environ.get("PROMETHEUS_TENANT", "")
    if not _is_header_text(tenant):
        problems.append("PROMETHEUS_TENANT must be printable ASCII.")
    return PrometheusSettings(
        url.rstrip("/"), environ.get("PROMETHEUS_JOB", DEFAULT_JOB), tenant, credentials
    )


def _credentials(environ: Mapping[str, str]) -> Credentials | None:
    user, password = environ.get("PROMETHEUS_USER", ""), secret_or_file(environ, "PROMETHEUS_PASSWORD")
    if not (_is_header_text(user) and _is_header_text(password)) or ":" in user:
        raise SettingsError(
            ["PROMETHEUS_USER and PROMETHEUS_PASSWORD must be printable ASCII, the user without a colon."]
        )
    if user and not password:
        raise SettingsError(["PROMETHEUS_USER is set without PROMETHEUS_PASSWORD or its file."])
    return Credentials(user or None, Secret(password)) if password else None


def _is_header_text(text: str) -> bool:
    return text.isascii() and text.isprintable()
