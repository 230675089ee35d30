"""The generated tables of the documentation are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.docs import tables
from tests.verify.docs.pages import read
from tests.verify.docs.tables import TABLES, marks


@pytest.mark.parametrize("name", TABLES)
def test_is_up_to_date(name: str) -> None:
    """The table on the page equals the output of `make docs`."""
    page, table = TABLES[name]
    begin, end = marks(name)
    written = read(page).split(begin)[1].split(end)[0]

    assert f"\n\n{table()}\n\n" == written, "run `make docs`"


def test_writes_between_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the text between the marks is replaced, on the page of each table."""
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    by_page: dict[str, list[str]] = {}
    for name, (page, _) in TABLES.items():
        by_page.setdefault(page, []).append(name)
    for page, found in by_page.items():
        (tmp_path / page).write_text("\nbetween\n".join("\nold\n".join(marks(name)) for name in found))

    tables.main()

    for page, found in by_page.items():
        fresh = (f"\n\n{TABLES[name][1]()}\n\n".join(marks(name)) for name in found)
        assert "\nbetween\n".join(fresh) == (tmp_path / page).read_text()
