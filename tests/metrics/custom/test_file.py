"""Reloads of the file of custom metrics."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exporter.files.reload import STILL_IN_USE
from exporter.metrics.custom.config import read
from exporter.metrics.custom.file import CustomFile

METRIC = "metrics: [{{name: {name}, help: Help., kind: gauge, from: stats, path: total}}]"


def test_reloads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Returns the metrics of the last valid file, and logs reloads under their own messages."""
    caplog.set_level(logging.INFO)
    path, changes = tmp_path / "custom.yaml", list[bool]()
    path.write_text(METRIC.format(name="first"))
    file = CustomFile(read(path), changes.append)
    names = []
    for text in (METRIC.format(name="second"), "metrics: [1]"):
        path.write_text(text)
        names += [metric.name for metric in file.newest()]
    path.write_text(METRIC.format(name="third"))
    file.reload()
    file.reload()

    assert (["second", "second"], [False, True]) == (names, changes)
    assert [
        "Custom metrics reloaded",
        "Custom metrics not reloaded",
        "Custom metrics reloaded",
        "Custom metrics unchanged",
    ] == caplog.messages
    assert f"{STILL_IN_USE} metric 1 must be a mapping." == vars(caplog.records[1])["hint"]
    assert ["third"] == [metric.name for metric in file.newest()]
