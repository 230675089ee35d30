"""Tests of `exporter.doctor.targets`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.doctor.targets import EXPORTER, GRAFANA, LOKI, PROMETHEUS, SERVERS, TEMPO, Targets, load_targets
from exporter.errors import SettingsError

SECRET = "very-secret-word"


def problems(environ: Mapping[str, str], **flags: str | None) -> tuple[str, ...]:
    """Return the problems, none of which contains the secret."""
    with pytest.raises(SettingsError) as caught:
        load_targets(environ, flags)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def test_flags_override_variables() -> None:
    """A flag overrides its variable, also an invalid one; trailing slashes are removed; all are optional."""
    environ = {"LOKI_URL": "not a URL", "PROMETHEUS_URL": "http://a:9090/sub/", "PROMETHEUS_JOB": "other"}
    targets = load_targets(environ, {LOKI: "https://loki.example/", "PROMETHEUS_JOB": "third"})

    assert {PROMETHEUS: "http://a:9090/sub", LOKI: "https://loki.example"} == targets.urls
    assert "third" == targets.job
    assert Targets() == load_targets({"LOKI_URL": "  "}, {LOKI: None})


def test_password_in_a_url() -> None:
    """The problem has the variable or flag, and not the URL."""
    url = f"http://user:{SECRET}@host"
    for server in SERVERS:
        by_variable, by_flag = problems({server.variable: url}), problems({}, **{server.name: url})
        for source, (problem,) in ((server.variable, by_variable), (server.flag, by_flag)):
            assert problem.startswith(f"{source} must not contain credentials: ")


def test_all_problems_at_once() -> None:
    """Reports all problems."""
    environ = {"LOKI_URL": "loki:3100", "EXPORTER_USER": "a:b", "GRAFANA_TOKEN": f"{SECRET}x"}
    environ |= {"GRAFANA_TOKEN_FILE": SECRET, "GRAFANA_ADMIN_PASSWORD_FILE": SECRET, "TEMPO_USER": "me"}

    assert (
        "LOKI_URL must begin with http:// or https://",
        "TEMPO_USER is set without TEMPO_PASSWORD or its file.",
        "EXPORTER_USER and EXPORTER_PASSWORD (or its file) belong together: set both or none.",
        "EXPORTER_USER has a colon or control characters, which basic authentication does not allow.",
        "GRAFANA_TOKEN and GRAFANA_TOKEN_FILE are both set: keep one of them.",
        "GRAFANA_ADMIN_PASSWORD_FILE cannot be read: No such file or directory.",
    ) == problems(environ)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("EXPORTER_PASSWORD", "\xff", "_FILE cannot be read: not UTF-8 text."),
        ("EXPORTER_PASSWORD", f"{SECRET}\x1b[2J", ", or its file, has control characters."),
        ("GRAFANA_TOKEN", f"{SECRET} x", ", or its file, must be printable ASCII without whitespace."),
    ],
)
def test_invalid_secret_files(tmp_path: Path, name: str, content: str, problem: str) -> None:
    """The problem has the variable of the file."""
    path = tmp_path / "secret"
    path.write_text(content, "latin-1")

    assert name + problem in problems({f"{name}_FILE": str(path)})


def test_credentials(tmp_path: Path) -> None:
    """Reads secrets from variables or files; a token takes precedence over a password."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    environ = {"EXPORTER_USER": "scraper", "EXPORTER_PASSWORD_FILE": str(path)}
    environ |= {"GRAFANA_TOKEN": "token", "GRAFANA_ADMIN_PASSWORD": SECRET}
    environ |= {
        "LOKI_TENANT": "team",
        "TEMPO_USER": "me",
        "TEMPO_PASSWORD": SECRET,
        "PROMETHEUS_PASSWORD": "t",
    }
    targets = load_targets(environ, {})
    found = {name: (one.user, one.secret.reveal()) for name, one in targets.credentials.items()}
    by_password = load_targets({**environ, "GRAFANA_TOKEN": ""}, {}).credentials[GRAFANA]

    own = {TEMPO: ("me", SECRET), PROMETHEUS: (None, "t")}
    assert {EXPORTER: ("scraper", SECRET), GRAFANA: (None, "token"), **own} == found
    assert {LOKI: {"X-Scope-OrgID": "team"}} == targets.headers
    assert ("admin", SECRET) == (by_password.user, by_password.secret.reveal())
    assert SECRET not in repr(targets)
