"""Tests of the converters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from exporter.model.converters import timestamp
from tests.samples import SAMPLES


def short(value: object) -> str:
    """Return a test id."""
    return getattr(value, "__name__", repr(value))[:30]


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [(convert, *pair) for convert, samples in SAMPLES.items() for pair in samples.valid],
    ids=short,
)
def test_valid_value(convert: Callable[[object], object], value: object, expected: object) -> None:
    """Returns a valid value in the type of the attribute."""
    actual = convert(value)

    assert (type(expected), expected) == (type(actual), actual)


@pytest.mark.parametrize(
    ("convert", "value"),
    [(convert, value) for convert, samples in SAMPLES.items() for value in samples.invalid],
    ids=short,
)
def test_invalid_value(convert: Callable[[object], object], value: object) -> None:
    """Raises ValueError for a value that the gateway's contract does not allow."""
    with pytest.raises(ValueError):  # noqa: PT011
        convert(value)


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sets the local time zone nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "FAR-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_timestamp_in_another_time_zone() -> None:
    """A time without an offset is UTC in any local time zone."""
    assert 5.0 == timestamp("1970-01-01T00:00:05")
