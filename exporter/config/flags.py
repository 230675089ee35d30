"""Defines the flags of the exporter, with the names that Prometheus exporters use.

A flag is added to the environment under its own name, and overrides its variables.
"""

from __future__ import annotations

from dataclasses import dataclass

LISTEN_ADDRESS = "--web.listen-address"
TELEMETRY_PATH = "--web.telemetry-path"
EXTERNAL_URL = "--web.external-url"
ROUTE_PREFIX = "--web.route-prefix"
WEB_CONFIG_FILE = "--web.config.file"
LOG_LEVEL = "--log.level"
LOG_FORMAT = "--log.format"
CONFIG_CHECK = "--config.check"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: name, placeholder, default and help text."""

    name: str
    metavar: str
    """Empty: the flag has no value."""
    default: str
    """Empty: no default, or that of the variables."""
    meaning: str
    variables: tuple[str, ...] = ()
    """Environment variables that the flag overrides."""


FLAGS = (
    Flag(
        LISTEN_ADDRESS,
        "HOST:PORT",
        "",
        "Address to listen on, such as :8001, 127.0.0.1:8001 or [::1]:8001; repeat it for several",
        ("METRICS_HOST", "METRICS_PORT"),
    ),
    Flag(TELEMETRY_PATH, "PATH", "/metrics", "Path of the metrics"),
    Flag(
        EXTERNAL_URL,
        "URL",
        "",
        "URL of the exporter behind a reverse proxy; its path is the default of --web.route-prefix",
    ),
    Flag(ROUTE_PREFIX, "PATH", "", "Prefix of every path; / if a proxy strips the path of the external URL"),
    Flag(
        WEB_CONFIG_FILE,
        "FILE",
        "",
        "Web configuration file: TLS, passwords, headers, rate limit",
        ("WEB_CONFIG_FILE",),
    ),
    Flag(LOG_LEVEL, "LEVEL", "", "debug, info, warning (or warn) or error", ("LOG_LEVEL",)),
    Flag(LOG_FORMAT, "FORMAT", "json", "json: one object per line; console: short lines for a terminal"),
    Flag(CONFIG_CHECK, "", "", "Check all settings and files without network access, and exit with 0 or 2"),
)
