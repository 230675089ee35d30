"""Addresses and credentials of the other servers: flags first, all problems at once, no secret in any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.doctor.targets import (
    CREDENTIALS,
    EXPORTER,
    GRAFANA,
    JOB,
    LOKI,
    PROMETHEUS,
    STAGES,
    Identity,
    load_addresses,
)
from exporter.errors import SettingsError

SECRET = "very-secret-word"


def problems(environ: Mapping[str, str], **flags: str | None) -> tuple[str, ...]:
    """Return what is wrong, with the secret in nothing of it."""
    with pytest.raises(SettingsError) as caught:
        load_addresses(environ, flags)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def revealed(identity: Identity) -> tuple[str | None, str]:
    """Return who that is."""
    return identity.user, identity.secret.reveal()


def test_nothing() -> None:
    """Without a variable and a flag nothing is known, but the usual job."""
    addresses = load_addresses({"LOKI_URL": "  "}, {LOKI: None})

    assert ({}, {}, "provider_metrics") == (addresses.urls, addresses.identities, addresses.job)


def test_flags_go_first() -> None:
    """A flag wins over its variable, whose value may then be wrong; a slash at the end is dropped."""
    environ = {"LOKI_URL": "not a URL", "PROMETHEUS_URL": "http://a:9090/sub/", JOB: "other"}
    addresses = load_addresses(environ, {LOKI: "https://loki.example/", JOB: "third"})

    assert {PROMETHEUS: "http://a:9090/sub", LOKI: "https://loki.example"} == addresses.urls
    assert "third" == addresses.job


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_wrong_urls(stage: object) -> None:
    """A URL with a password in it is refused, by the name of what it came from and without its text."""
    url = f"http://user:{SECRET}@host"
    (of_variable,) = problems({stage.variable: url})  # type: ignore[attr-defined]
    (of_flag,) = problems({}, **{stage.name: url})  # type: ignore[attr-defined]

    assert of_variable.startswith(f"{stage.variable} must not contain credentials: ")  # type: ignore[attr-defined]
    assert of_flag.startswith(f"--{stage.name}-url must not contain credentials: ")  # type: ignore[attr-defined]


def test_all_problems_at_once() -> None:
    """Every problem is told, each by what to change."""
    environ = {
        "LOKI_URL": "loki:3100",
        "EXPORTER_USER": "a:b",
        "GRAFANA_TOKEN": f"{SECRET} x",
        "GRAFANA_TOKEN_FILE": SECRET,
        "GRAFANA_ADMIN_PASSWORD_FILE": SECRET,
    }

    assert (
        "LOKI_URL must begin with http:// or https://",
        "EXPORTER_USER and EXPORTER_PASSWORD, or its file, go together: set both or none.",
        "EXPORTER_USER has a colon or control characters, which no sign-in allows.",
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
def test_bad_secret_files(tmp_path: Path, content: bytes, problem: str) -> None:
    """A file that holds no secret is named by its variable."""
    path = tmp_path / "secret"
    path.write_bytes(content)

    assert problem in problems({"EXPORTER_PASSWORD_FILE": str(path)})


def test_token_that_cannot_be_sent() -> None:
    """A token that does not fit into a header is a problem."""
    expected = "GRAFANA_TOKEN, or its file, must be printable ASCII without whitespace."

    assert (expected,) == problems({"GRAFANA_TOKEN": f"{SECRET} x"})


def test_identities(tmp_path: Path) -> None:
    """Secrets come from variables or files; a token goes before a password."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    environ = {
        "EXPORTER_USER": "scraper",
        "EXPORTER_PASSWORD_FILE": str(path),
        "GRAFANA_TOKEN": "token",
        "GRAFANA_ADMIN_PASSWORD": SECRET,
    }
    identities = load_addresses(environ, {}).identities

    assert {EXPORTER: ("scraper", SECRET), GRAFANA: (None, "token")} == {
        name: revealed(identity) for name, identity in identities.items()
    }
    del environ["GRAFANA_TOKEN"]
    assert ("admin", SECRET) == revealed(load_addresses(environ, {}).identities[GRAFANA])
    assert SECRET not in repr(load_addresses(environ, {}))


def test_secrets_have_no_flags() -> None:
    """No flag and no URL may hold what others of the machine must not read in the list of processes."""
    assert {"--prometheus-job", *(stage.flag for stage in STAGES)}.isdisjoint(
        f"--{name.lower().replace('_', '-')}" for name, _ in CREDENTIALS
    )
