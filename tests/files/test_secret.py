"""Secrets: masked, and read from a variable or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import SettingsError
from exporter.files.secret import Secret, secret_or_file

TEXT = "hush-hush"


def problem(environ: dict[str, str]) -> str:
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


def test_both() -> None:
    """Both at once are a problem, and the file is not read."""
    assert "X and X_FILE are both set: keep one of them." == problem({"X": TEXT, "X_FILE": "missing"})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "X_FILE names an empty file."),
        (b" \n\n", "X_FILE names an empty file."),
        (b"\xff\xfe\x00", "X_FILE cannot be read: not UTF-8 text."),
    ],
    ids=["empty", "whitespace", "binary"],
)
def test_file_without_a_secret(tmp_path: Path, content: bytes, expected: str) -> None:
    """A file without text is a problem."""
    (tmp_path / "x").write_bytes(content)

    assert expected == problem({"X_FILE": str(tmp_path / "x")})


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing/sesame", "No such file or directory"),
        ("/", "Is a directory"),
        ("/dev/zero", "Not a regular file"),
    ],
)
def test_no_file(path: str, reason: str) -> None:
    """A path that is not a regular file is a problem, which does not contain the path."""
    assert f"X_FILE cannot be read: {reason}." == problem({"X_FILE": path})
