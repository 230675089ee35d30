"""Reloads of a file: what they return, log and report."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.files.read import Stamp, stamp
from exporter.files.reload import STILL_IN_USE, Messages, Reloader

MESSAGES = Messages("Reloaded", "Unchanged", "Not reloaded")


@dataclass(frozen=True)
class Text:
    """The content of a file, which is invalid if it is empty."""

    path: Path
    text: str
    problems: tuple[str, ...]
    stamp: Stamp

    @property
    def is_outdated(self) -> bool:
        """Whether the file has another stamp."""
        return stamp(self.path) != self.stamp


def read(path: Path) -> Text:
    """Read the file."""
    before = stamp(path)
    text = path.read_text()
    return Text(path, text, () if text else ("it is empty.", "it has no end."), before)


def refuse(current: Text, new: Text) -> list[str]:
    """Refuse a text that is shorter than the current one."""
    return ["it is shorter."] if len(new.text) < len(current.text) else []


@dataclass
class Watched:
    """A file, its reloader and what it reported."""

    path: Path
    log: pytest.LogCaptureFixture
    changes: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start with `first`."""
        self.path.write_text("first")
        self.file = Reloader(read(self.path), lambda: read(self.path), MESSAGES, self.changes.append, refuse)

    def replace(self, text: str) -> None:
        """Replace the file."""
        (self.path.parent / "new").write_text(text)
        (self.path.parent / "new").replace(self.path)

    def newest(self) -> tuple[str, list[str]]:
        """Return the current text, and the messages of the check."""
        self.log.clear()
        return self.file.newest().text, self.log.messages

    def reload(self) -> list[str]:
        """Reload, and return the messages."""
        self.log.clear()
        self.file.reload()
        return self.log.messages


@pytest.fixture
def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    """A valid file."""
    caplog.set_level(logging.INFO)
    return Watched(tmp_path / "file", caplog)


def test_changed_file(watched: Watched) -> None:
    """Returns a new version at the next check after a change, and logs it once; `current` does not check."""
    version = watched.file.newest()
    assert ("first", []) == watched.newest()
    assert version is watched.file.newest()
    watched.replace("second")

    assert "first" == watched.file.current.text
    assert [("second", ["Reloaded"]), ("second", [])] == [watched.newest(), watched.newest()]
    assert ("second", []) == (watched.file.current.text, watched.changes)


@pytest.mark.parametrize(("text", "problem"), [("", "it is empty. it has no end."), ("x", "it is shorter.")])
def test_invalid_file(watched: Watched, text: str, problem: str) -> None:
    """Keeps the last valid version, logs each invalid one once, and reports the start and the end."""
    for _ in range(2):
        watched.replace(text)

        assert ("first", ["Not reloaded"]) == watched.newest()
        record = watched.log.records[0]
        assert ("WARNING", f"{STILL_IN_USE} {problem}") == (record.levelname, vars(record)["hint"])
        assert ("first", []) == watched.newest()
        assert [False] == watched.changes

    watched.replace("first")
    assert ("first", ["Reloaded"]) == watched.newest()
    assert [False, True] == watched.changes


def test_reload(watched: Watched) -> None:
    """Logs the result of every reload, also if it is the same as before."""
    messages = watched.reload()
    for text in ("second", ""):
        watched.replace(text)
        messages += watched.reload() + watched.reload()

    assert ["Unchanged", "Reloaded", "Unchanged", "Not reloaded", "Not reloaded"] == messages
    assert ("second", [False]) == (watched.file.current.text, watched.changes)


def test_threads(watched: Watched) -> None:
    """Reads a changed file once, however many threads ask at the same time."""
    watched.replace("second")
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda _: watched.file.newest(), range(8)))

    assert (["second"] * 8, ["Reloaded"]) == ([each.text for each in versions], watched.log.messages)
