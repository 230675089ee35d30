"""Reads the settings of the Prometheus from which the history is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config.access import Access, read_access, variables
from exporter.config.urls import url_problem
from exporter.files.problems import Problems

PREFIX = "PROMETHEUS"
DEFAULT_JOB = "provider_metrics"
VARIABLES = (
    ("PROMETHEUS_URL", "", "Root of a Prometheus from which the history is read at the start"),
    ("PROMETHEUS_JOB", DEFAULT_JOB, "The label `job` of the exporter there"),
    *((name, "", meaning) for name, meaning in variables(PREFIX, "there")),
)
"""Name, default and meaning."""


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """A Prometheus that scrapes this exporter."""

    url: str
    """Without a trailing slash."""
    job: str
    """The label `job` of the exporter."""
    access: Access = field(default_factory=Access)


def read(environ: Mapping[str, str], problems: Problems) -> PrometheusSettings | None:
    """Return the settings, None without a URL; problems are added to `problems`."""
    url = environ.get("PROMETHEUS_URL", "")
    if not url:
        return None
    access = read_access(environ, PREFIX, problems)
    if problem := url_problem(url, "they go into PROMETHEUS_USER and PROMETHEUS_PASSWORD"):
        problems.append(f"PROMETHEUS_URL {problem}")
    return PrometheusSettings(url.rstrip("/"), environ.get("PROMETHEUS_JOB", DEFAULT_JOB), access)
