"""The generated tables of the documentation are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from generate import tables
from generate.tables import FILES, TABLES, marks
from tests.verify.docs.pages import read


@pytest.mark.parametrize("name", TABLES)
def test_is_up_to_date(name: str) -> None:
    """The page has the table that `make generate` would write."""
    page, generate = TABLES[name]
    begin, end = marks(name)
    written = read(page).split(begin)[1].split(end)[0]

    assert f"\n\n{generate()}\n\n" == written, "run `make generate`"


@pytest.mark.parametrize("path", FILES)
def test_file_is_up_to_date(path: str) -> None:
    """The file is what `make generate` would write."""
    assert FILES[path]() == read(path), "run `make generate`"


def test_writes_between_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the text between the marks of each table, and whole files."""
    own = {name: ("page.md", lambda name=name: name.upper()) for name in "ab"}
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "TABLES", own)
    monkeypatch.setattr(tables, "FILES", {"file": lambda: "content"})
    page = tmp_path / "page.md"
    page.write_text("\nbetween\n".join("\nold\n".join(marks(name)) for name in "ab"))

    tables.main()

    expected = "\nbetween\n".join(f"\n\n{name.upper()}\n\n".join(marks(name)) for name in "ab")
    assert (expected, "content") == (page.read_text(), (tmp_path / "file").read_text())
