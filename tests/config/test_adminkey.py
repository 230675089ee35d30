"""Which keys can be sent, and how they are read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.adminkey import check_key, read_key
from exporter.errors import SettingsError

KEY = "hush-hush-key"


@pytest.mark.parametrize("text", [KEY, f"  {KEY}\r\n\n"], ids=["bare", "whitespace"])
def test_key(tmp_path: Path, text: str) -> None:
    """Returns the key without surrounding whitespace."""
    (tmp_path / "key").write_text(text, encoding="utf-8")

    assert KEY == read_key(tmp_path / "key").reveal()


@pytest.mark.parametrize(
    "text",
    [
        f"{KEY} {KEY}",
        f"{KEY}\t{KEY}",
        f"{KEY}\n{KEY}",
        f"{KEY}\r\nX-Other: 1",
        f"{KEY}\x7f{KEY}",
        f"{KEY}\N{LATIN SMALL LETTER A WITH DIAERESIS}",
        f"{KEY}\N{NO-BREAK SPACE}{KEY}",
    ],
    ids=["space", "tab", "line break", "header", "control", "umlaut", "no-break space"],
)
def test_invalid_key(text: str) -> None:
    """A key that does not fit into a header is a problem, which does not contain the key."""
    with pytest.raises(SettingsError) as caught:
        check_key(text)

    assert ("ADMIN_KEY, or its file, must be printable ASCII without whitespace.",) == caught.value.problems


def test_key_in_quotes(tmp_path: Path) -> None:
    """Quotes around the key in its file are a problem."""
    (tmp_path / "key").write_text(f'"{KEY}"\n')

    with pytest.raises(SettingsError, match="ADMIN_KEY, or its file, is in quotes, "):
        read_key(tmp_path / "key")
