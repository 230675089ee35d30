"""Tests of the converters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from exporter.model.converters import non_negative, timestamp
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


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_number_that_is_not_finite(number: float) -> None:
    """Rejects numbers that are not finite."""
    with pytest.raises(ValueError, match=r"^$"):
        non_negative(number)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-08-20T02:00:06Z", 1787191206),
        ("2026-08-20T02:00:04.118273Z", 1787191204.118273),
        ("2026-08-20T02:00:04.6Z", 1787191204.6),
        ("2026-08-20T02:00:06+00:00", 1787191206),
        ("2026-08-20T02:00:06-00:00", 1787191206),
        ("2026-08-20T04:30:06+02:30", 1787191206),
        ("2026-08-19T19:00:06-07:00", 1787191206),
        ("2026-08-20t02:00:06z", 1787191206),
        ("2026-08-20 02:00:06Z", 1787191206),
        ("2026-08-20T02:00:06", 1787191206),
        ("2026-08-20T02:00:06.123456789Z", pytest.approx(1787191206.123457, abs=2e-6)),
        ("2024-02-29T23:59:59Z", 1709251199),
        ("0001-01-01T00:00:00Z", -62_135_596_800),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ],
)
def test_timestamp(value: str, expected: float) -> None:
    """Reads all forms of RFC 3339; a time without an offset is UTC."""
    assert expected == timestamp(value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-08-20T24:00:00Z",
        "2026-08-20T02:60:00Z",
        "2026-08-20T02:00Z",
        "2026-08-20T02:00:06Zulu",
        "20260820T020006Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "Thu, 20 Aug 2026 02:00:06 GMT",
    ],
)
def test_invalid_timestamp(value: str) -> None:
    """Rejects other formats, and dates outside of the years 1 to 9999 in UTC."""
    with pytest.raises(ValueError):  # noqa: PT011
        timestamp(value)


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
