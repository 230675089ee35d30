"""How tests are spread over processes."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes, with a file for each time that this fixture was set up."""
    folder = tmp_path_factory.getbasetemp().parent / "started"
    folder.mkdir(exist_ok=True)
    (folder / tmp_path_factory.getbasetemp().name).touch()
    return folder


@pytest.mark.parametrize("number", range(6))
def test_servers_of_a_file_start_once(started: Path, number: int) -> None:
    """The tests of a file are in one process, where they share servers."""
    assert 1 == len(list(started.iterdir())), number
