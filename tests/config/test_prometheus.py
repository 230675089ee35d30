"""Tests of `exporter.config.prometheus`."""

from __future__ import annotations

from pathlib import Path

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


def header(settings: PrometheusSettings) -> tuple[str | None, str] | None:
    """Return user and secret of the credentials."""
    found = settings.credentials
    return None if found is None else (found.user, found.secret.reveal())


def test_no_prometheus() -> None:
    """Without a URL there is no Prometheus, whatever the other variables are."""
    assert read({"PROMETHEUS_USER": "me", "PROMETHEUS_TENANT": "\u00e4"}, Problems()) is None


def test_defaults() -> None:
    """The URL is enough."""
    assert PrometheusSettings("http://prometheus:9090/sub", "provider_metrics", "", None) == loaded()


def test_all_variables(tmp_path: Path) -> None:
    """Job, tenant and credentials are read; a password without a user is a token; no output has it."""
    (tmp_path / "password").write_text("sesame\n", encoding="utf-8")
    from_file = loaded(PROMETHEUS_USER="me", PROMETHEUS_PASSWORD_FILE=str(tmp_path / "password"))
    token = loaded(PROMETHEUS_JOB="job", PROMETHEUS_TENANT="team", PROMETHEUS_PASSWORD="sesame")

    assert ("me", "sesame") == header(from_file)
    assert ("job", "team", (None, "sesame")) == (token.job, token.tenant, header(token))
    assert "sesame" not in repr((from_file, token))


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
        ({"PROMETHEUS_USER": "me"}, "PROMETHEUS_USER is set without PROMETHEUS_PASSWORD or its file."),
        *(
            (
                {"PROMETHEUS_USER": user, "PROMETHEUS_PASSWORD": password},
                "PROMETHEUS_USER and PROMETHEUS_PASSWORD must be printable ASCII, the user without a colon.",
            )
            for user, password in (("a:b", "x"), ("me", "\u00e4"), ("me", "a\nb"))
        ),
        (
            {"PROMETHEUS_PASSWORD_FILE": "/none"},
            "PROMETHEUS_PASSWORD_FILE cannot be read: No such file or directory.",
        ),
    ],
)
def test_problems(variables: dict[str, str], problem: str) -> None:
    """Each invalid value is one problem without the value."""
    problems = Problems()

    read({**URL, **variables}, problems)

    assert [problem] == list(problems)
