"""Tests of `exporter.config.prometheus`."""

from __future__ import annotations

import pytest

from exporter.config.prometheus import PrometheusSettings, read
from exporter.files.problems import Problems

URL = {"PROMETHEUS_URL": "http://prometheus:9090/sub/"}


def loaded(**variables: str) -> PrometheusSettings:
    """Return valid settings."""
    problems = Problems()
    settings = read({**URL, **variables}, problems)
    assert ([], False) == (list(problems), settings is None)
    assert settings is not None
    return settings


def test_no_prometheus() -> None:
    """Without a URL there is no Prometheus, whatever the other variables are."""
    assert read({"PROMETHEUS_USER": "me", "PROMETHEUS_TENANT": "\u00e4"}, Problems()) is None


def test_defaults() -> None:
    """The URL is enough."""
    assert PrometheusSettings("http://prometheus:9090/sub", "provider_metrics") == loaded()


def test_all_variables() -> None:
    """Job, tenant and credentials are read; no output has the password."""
    settings = loaded(PROMETHEUS_JOB="job", PROMETHEUS_TENANT="team", PROMETHEUS_PASSWORD="sesame")

    assert ("job", "team") == (settings.job, settings.access.tenant)
    assert settings.access.credentials is not None
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"PROMETHEUS_URL": "prometheus:9090"}, "PROMETHEUS_URL must begin with http:// or https://"),
        (
            {"PROMETHEUS_URL": "http://me:sesame@host"},
            "PROMETHEUS_URL must not contain credentials: they go into PROMETHEUS_USER and "
            "PROMETHEUS_PASSWORD.",
        ),
        ({"PROMETHEUS_TENANT": "\u00e4"}, "PROMETHEUS_TENANT must be printable ASCII."),
    ],
)
def test_problems(variables: dict[str, str], problem: str) -> None:
    """Each invalid value is one problem without the value."""
    problems = Problems()

    read({**URL, **variables}, problems)

    assert [problem] == list(problems)
