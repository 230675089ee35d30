"""Tests of `exporter.doctor.targets`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.doctor.targets import (
    CREDENTIAL_VARIABLES,
    EXPORTER,
    GRAFANA,
    JOB,
    LOKI,
    PROMETHEUS,
    SERVERS,
    Credentials,
    Server,
    load_targets,
)
from exporter.errors import SettingsError

SECRET = "very-secret-word"


def problems(environ: Mapping[str, str], **flags: str | None) -> tuple[str, ...]:
    """Return the problems, none of which contains the secret."""
    with pytest.raises(SettingsError) as caught:
        load_targets(environ, flags)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def revealed(credentials: Credentials) -> tuple[str | None, str]:
    """Return user and secret."""
    return credentials.user, credentials.secret.reveal()


def test_nothing() -> None:
    """Without variables and flags there are no URLs and no credentials."""
    targets = load_targets({"LOKI_URL": "  "}, {LOKI: None})

    assert ({}, {}, "provider_metrics") == (targets.urls, targets.credentials, targets.job)


def test_flags_override_variables() -> None:
    """A flag overrides its variable, also an invalid one; a trailing slash is removed."""
    environ = {"LOKI_URL": "not a URL", "PROMETHEUS_URL": "http://a:9090/sub/", JOB: "other"}
    targets = load_targets(environ, {LOKI: "https://loki.example/", JOB: "third"})

    assert {PROMETHEUS: "http://a:9090/sub", LOKI: "https://loki.example"} == targets.urls
    assert "third" == targets.job


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_password_in_a_url(server: Server) -> None:
    """The problem has the variable or flag, and not the URL."""
    url = f"http://user:{SECRET}@host"

    for source, found in (
        (server.variable, problems({server.variable: url})),
        (server.flag, problems({}, **{server.name: url})),
    ):
        assert [True] == [problem.startswith(f"{source} must not contain credentials: ") for problem in found]


def test_all_problems_at_once() -> None:
    """Reports all problems."""
    environ = {
        "LOKI_URL": "loki:3100",
        "EXPORTER_USER": "a:b",
        "GRAFANA_TOKEN": f"{SECRET} x",
        "GRAFANA_TOKEN_FILE": SECRET,
        "GRAFANA_ADMIN_PASSWORD_FILE": SECRET,
    }

    assert (
        "LOKI_URL must begin with http:// or https://",
        "EXPORTER_USER and EXPORTER_PASSWORD (or its file) belong together: set both or none.",
        "EXPORTER_USER has a colon or control characters, which basic authentication does not allow.",
        "GRAFANA_TOKEN and GRAFANA_TOKEN_FILE are both set: keep one of them.",
        "GRAFANA_ADMIN_PASSWORD_FILE cannot be read: No such file or directory.",
    ) == problems(environ)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "EXPORTER_PASSWORD_FILE names an empty file."),
        (b"\xff", "EXPORTER_PASSWORD_FILE cannot be read: not UTF-8 text."),
        (f"{SECRET}\x1b[2J".encode(), "EXPORTER_PASSWORD, or its file, has control characters."),
    ],
)
def test_invalid_secret_files(tmp_path: Path, content: bytes, problem: str) -> None:
    """The problem has the variable of the file."""
    path = tmp_path / "secret"
    path.write_bytes(content)

    assert problem in problems({"EXPORTER_PASSWORD_FILE": str(path)})


def test_token_that_cannot_be_sent() -> None:
    """A token that does not fit into a header is a problem."""
    expected = "GRAFANA_TOKEN, or its file, must be printable ASCII without whitespace."

    assert (expected,) == problems({"GRAFANA_TOKEN": f"{SECRET} x"})


def test_credentials(tmp_path: Path) -> None:
    """Reads secrets from variables or files; a token takes precedence over a password."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    environ = {
        "EXPORTER_USER": "scraper",
        "EXPORTER_PASSWORD_FILE": str(path),
        "GRAFANA_TOKEN": "token",
        "GRAFANA_ADMIN_PASSWORD": SECRET,
    }
    credentials = load_targets(environ, {}).credentials

    assert {EXPORTER: ("scraper", SECRET), GRAFANA: (None, "token")} == {
        name: revealed(one) for name, one in credentials.items()
    }
    del environ["GRAFANA_TOKEN"]
    assert ("admin", SECRET) == revealed(load_targets(environ, {}).credentials[GRAFANA])
    assert SECRET not in repr(load_targets(environ, {}))


def test_secrets_have_no_flags() -> None:
    """No flag takes a secret: other users could read it in the list of processes."""
    assert {"--prometheus-job", *(server.flag for server in SERVERS)}.isdisjoint(
        f"--{name.lower().replace('_', '-')}" for name, _ in CREDENTIAL_VARIABLES
    )
