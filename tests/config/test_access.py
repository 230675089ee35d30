"""Tests of `exporter.config.access`."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.access import Access, read_access, variables
from exporter.files.problems import Problems


def loaded(**environ: str) -> Access:
    """Return valid tenant and credentials of Loki."""
    problems = Problems()
    access = read_access(environ, "LOKI", problems)
    assert [] == list(problems)
    return access


def user_and_secret(access: Access) -> tuple[str | None, str]:
    """Return the credentials as text."""
    assert access.credentials is not None
    return access.credentials.user, access.credentials.secret.reveal()


def test_none() -> None:
    """Without variables there are no credentials and no header; those of another server do not count."""
    access = loaded(TEMPO_TENANT="team", TEMPO_PASSWORD="sesame")

    assert (Access(), {}) == (access, access.headers)


def test_tenant() -> None:
    """The tenant becomes a header."""
    assert {"X-Scope-OrgID": "team"} == loaded(LOKI_TENANT="team").headers


def test_credentials(tmp_path: Path) -> None:
    """A password comes from a variable or a file; without a user it is a token; no output has it."""
    (tmp_path / "password").write_text("sesame\n", encoding="utf-8")
    basic = loaded(LOKI_USER="me", LOKI_PASSWORD_FILE=str(tmp_path / "password"))
    token = loaded(LOKI_PASSWORD="sesame")

    assert [("me", "sesame"), (None, "sesame")] == [user_and_secret(basic), user_and_secret(token)]
    assert "sesame" not in repr((basic, token))


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"LOKI_TENANT": "\u00e4"}, "LOKI_TENANT must be printable ASCII."),
        ({"LOKI_USER": "me"}, "LOKI_USER is set without LOKI_PASSWORD or its file."),
        *(
            (
                {"LOKI_USER": user, "LOKI_PASSWORD": password},
                "LOKI_USER and LOKI_PASSWORD must be printable ASCII, the user without a colon.",
            )
            for user, password in (("a:b", "x"), ("me", "\u00e4"), ("me", "a\nb"))
        ),
        ({"LOKI_PASSWORD_FILE": "/none"}, "LOKI_PASSWORD_FILE cannot be read: No such file or directory."),
    ],
)
def test_problems(environ: dict[str, str], problem: str) -> None:
    """Each invalid value is one problem without the value."""
    problems = Problems()

    read_access(environ, "LOKI", problems)

    assert [problem] == list(problems)


def test_variables() -> None:
    """Every variable has the prefix, and says where it is valid."""
    found = dict(variables("LOKI", "at Loki"))

    assert ["LOKI_TENANT", "LOKI_USER", "LOKI_PASSWORD", "LOKI_PASSWORD_FILE"] == list(found)
    assert "Tenant at Loki, sent as X-Scope-OrgID" == found["LOKI_TENANT"]
