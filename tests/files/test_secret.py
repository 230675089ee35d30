"""Secrets: masked, and read from a variable or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import SettingsError
from exporter.files.secret import Secret, secret_or_file

TEXT = "hush-hush"


def problem(**environ: str) -> str:
    """Return the only problem."""
    with pytest.raises(SettingsError) as caught:
        secret_or_file(environ, "X")
    (sentence,) = caught.value.problems
    return sentence


def test_mask() -> None:
    """A secret shows a mask that is independent of its text, and has no dictionary for dumps."""
    secret = Secret(TEXT)

    assert {"Secret(********)"} == {repr(secret), str(secret), f"{secret}", repr(Secret("a"))}
    assert not hasattr(secret, "__dict__")


def test_secret_or_file(tmp_path: Path) -> None:
    """Returns the variable, or the stripped text of the file; empty if neither is set."""
    (tmp_path / "x").write_text(f" {TEXT}\n")

    assert [TEXT, TEXT, ""] == [
        secret_or_file(environ, "X") for environ in ({"X": TEXT}, {"X_FILE": str(tmp_path / "x")}, {})
    ]


def test_no_file() -> None:
    """A path that is not a regular file is a problem without the path; beside the variable it is not read."""
    assert "X and X_FILE are both set: keep one of them." == problem(X=TEXT, X_FILE="missing")
    assert "X_FILE cannot be read: No such file or directory." == problem(X_FILE="/missing/sesame")
    assert "X_FILE cannot be read: Not a regular file." == problem(X_FILE="/dev/zero")
