"""Problems are collected and raised together."""

from __future__ import annotations

import pytest

from exporter.errors import SettingsError
from exporter.files.problems import Problems


def test_problems() -> None:
    """Raises every problem once, in order, and nothing if there is none."""
    problems = Problems()
    problems.raise_any()
    problems.append("a")
    with problems.collect():
        raise SettingsError(["b", "a"])

    with pytest.raises(SettingsError) as caught:
        problems.raise_any()

    assert ("a", "b") == caught.value.problems
