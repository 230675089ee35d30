"""URL of and credentials for Grafana, from the environment; `doctor` reads the same variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.doctor.targets import GRAFANA, load_targets
from exporter.errors import SettingsError
from exporter.transport.auth import Credentials

VARIABLES: tuple[tuple[str, str], ...] = (
    ("GRAFANA_URL", "Root of Grafana, its sub-path included (default http://localhost:3000)"),
    ("GRAFANA_TOKEN", "Token of a service account with the role Admin; takes precedence over a password"),
    ("GRAFANA_TOKEN_FILE", "File that holds the token, instead of GRAFANA_TOKEN"),
    ("GRAFANA_ADMIN_USER", "User, where there is no token (default admin)"),
    ("GRAFANA_ADMIN_PASSWORD", "Password of that user"),
    ("GRAFANA_ADMIN_PASSWORD_FILE", "File that holds the password, instead of GRAFANA_ADMIN_PASSWORD"),
)
"""Every variable and its meaning."""
DEFAULT_URL = "http://localhost:3000"
NO_CREDENTIALS = "Set GRAFANA_TOKEN or GRAFANA_ADMIN_PASSWORD, or one of their files."


@dataclass(frozen=True, slots=True)
class Settings:
    """URL and credentials."""

    url: str
    """Without a trailing slash."""
    credentials: Credentials


def load_settings(environ: Mapping[str, str], url: str | None) -> Settings:
    """Read the variables; `url` overrides GRAFANA_URL.

    Raises:
        SettingsError: With all problems, without secrets.
    """
    own = {name: environ[name] for name, _ in VARIABLES if name in environ}
    targets = load_targets({**own, "GRAFANA_URL": url} if url else own, {})
    credentials = targets.credentials.get(GRAFANA)
    if credentials is None:
        raise SettingsError([NO_CREDENTIALS])
    return Settings(targets.urls.get(GRAFANA, DEFAULT_URL), credentials)
