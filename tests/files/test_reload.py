"""Reloads of a file: what they return, log and report."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.files.read import Stamp, stamp
from exporter.files.reload import STILL_IN_USE, Messages, Reloader

MESSAGES = Messages("Reloaded", "Unchanged", "Not reloaded")


@dataclass(frozen=True)
class Text:
    """A file that is invalid if it is missing or empty."""

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
    text = path.read_text() if path.exists() else ""
    return Text(path, text, () if text else ("it is empty.",), before)


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


def test_unchanged_file(watched: Watched) -> None:
    """Returns the same version and logs nothing while the file is unchanged."""
    version = watched.file.newest()

    assert ("first", []) == watched.newest()
    assert version is watched.file.newest()


def test_changed_file(watched: Watched) -> None:
    """Returns a new version at the next check, and logs it once; `current` does not check."""
    watched.replace("second")

    assert "first" == watched.file.current.text
    assert [("second", ["Reloaded"]), ("second", [])] == [watched.newest(), watched.newest()]
    assert ("second", []) == (watched.file.current.text, watched.changes)


@pytest.mark.parametrize(("text", "problem"), [("", "it is empty."), ("x", "it is shorter.")])
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


def test_missing_file(watched: Watched) -> None:
    """Keeps the last valid version while the file is missing."""
    watched.path.unlink()

    assert [("first", ["Not reloaded"]), ("first", [])] == [watched.newest(), watched.newest()]
    watched.replace("second")
    assert ("second", ["Reloaded"]) == watched.newest()


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
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(watched.file.newest().text)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (["second"] * 8, ["Reloaded"]) == (texts, watched.log.messages)
