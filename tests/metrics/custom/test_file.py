"""The custom metrics in force are those of the newest good file; what is wrong with a newer one is told."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.metrics.custom.config import read
from exporter.metrics.custom.file import CustomFile

METRIC = "metrics: [{{name: {name}, help: Help., kind: gauge, from: stats, path: total}}]"


@dataclass
class Watched:
    """A file, the metrics of it that are in force, and what was told."""

    path: Path
    log: pytest.LogCaptureFixture
    told: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with a metric `first`."""
        self.write("first")
        self.file = CustomFile(read(self.path), self.told.append)

    def write(self, name: str) -> None:
        """Put another file with one metric in its place."""
        self.replace(METRIC.format(name=name))

    def replace(self, text: str) -> None:
        """Put another file in its place."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)

    def look(self) -> list[str]:
        """Look at the file, and return the messages since the last time."""
        self.log.clear()
        self.names = [metric.name for metric in self.file.newest()]
        return [f"{record.levelname} {record.getMessage()}" for record in self.log.records]


@pytest.fixture
def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    """A file that is watched."""
    caplog.set_level(logging.INFO)
    return Watched(tmp_path / "custom.yaml", caplog)


def test_nothing_changes(watched: Watched) -> None:
    """Without a change the metrics stay the very same."""
    before = watched.file.newest()

    assert ([], ["first"]) == (watched.look(), watched.names)
    assert before is watched.file.newest()


def test_new_file(watched: Watched) -> None:
    """A changed file is in force at the next look, and that is told once."""
    watched.write("second")

    assert (["INFO Custom metrics reloaded"], ["second"]) == (watched.look(), watched.names)
    assert ([], ["second"]) == (watched.look(), watched.names)
    assert [] == watched.told


def test_broken_file(watched: Watched) -> None:
    """A broken file changes nothing; that is told once for each content, with all that is wrong."""
    for text, problem in (
        ("[", "the file is not valid YAML"),
        ("metrics: [1]", "metric 1 must be a mapping."),
    ):
        watched.replace(text)

        assert (["WARNING Custom metrics not reloaded"], ["first"]) == (watched.look(), watched.names)
        hint = vars(watched.log.records[0])["hint"]
        assert hint.startswith(f"The last good one stays in force. {problem}")
        assert ([], [False]) == (watched.look(), watched.told)

    watched.write("second")

    assert (["INFO Custom metrics reloaded"], ["second"]) == (watched.look(), watched.names)
    assert [False, True] == watched.told


def test_reload(watched: Watched) -> None:
    """Each reload logs its outcome, also one that is known already."""
    outcomes = []
    for text in (METRIC.format(name="second"), None, "metrics: [1]", None):
        if text is not None:
            watched.replace(text)
        watched.log.clear()
        watched.file.reload()
        outcomes += [record.getMessage() for record in watched.log.records]

    assert ([], ["second"]) == (watched.look(), watched.names)
    assert [
        "Custom metrics reloaded",
        "Custom metrics unchanged",
        "Custom metrics not reloaded",
        "Custom metrics not reloaded",
    ] == outcomes


def test_file_that_goes(watched: Watched) -> None:
    """A file that is gone leaves the last good one in force, until it is there again."""
    watched.path.unlink()

    assert (["WARNING Custom metrics not reloaded"], ["first"]) == (watched.look(), watched.names)
    assert ([], [False]) == (watched.look(), watched.told)

    watched.write("first")
    assert (["INFO Custom metrics reloaded"], ["first"]) == (watched.look(), watched.names)
    assert [False, True] == watched.told
