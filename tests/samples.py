"""Sample values of the gateway's fields by converter, so that tests cover each row of the table of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from exporter.model import converters
from exporter.model.converters import MAX_TEXT
from exporter.model.fields import Field
from exporter.model.provider import HealthStatus

HUGE = 10**400
"""An integer beyond the range of a float."""
LONG = "x" * (MAX_TEXT + 1)


@dataclass(frozen=True)
class Samples:
    """JSON values that a converter accepts, with the result, and those that it rejects."""

    valid: tuple[tuple[Any, object], ...]
    invalid: tuple[object, ...]


SAMPLES: Mapping[Callable[[object], object], Samples] = MappingProxyType(
    {
        converters.slug: Samples(
            (("openai", "openai"), ("s" * MAX_TEXT, "s" * MAX_TEXT)),
            (None, "", 0, 1, 1.5, True, False, [], ["a"], {}, LONG),
        ),
        converters.text: Samples(
            (
                *(("OpenAI", "OpenAI"), ("", ""), ('a "b"\n\\c', 'a "b"\n\\c')),
                *(("\N{GRINNING FACE}", "\N{GRINNING FACE}"), ("n" * MAX_TEXT, "n" * MAX_TEXT)),
            ),
            (1, True, [], {}, LONG),
        ),
        converters.identifier: Samples(
            ((16, "16"), (0, "0"), (2**63 - 1, "9223372036854775807"), ("b7e2", "b7e2")),
            (1.0, True, False, [], {}, LONG, 2**63, -(2**63) - 1, HUGE),
        ),
        converters.link: Samples(
            (
                ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
                *((url, url) for url in ("http://[::1]:8080", "https://example.com/" + "x" * 1004)),
                *(
                    (text, "")
                    for text in ("", "example.com", "javascript:alert(1)", "//example.com", "https://")
                ),
                *(
                    (text, "")
                    for text in ("https://user@example.com", "https://a b", "https://example.com/\n")
                ),
                *((text, "") for text in ('https://x/"><b>\u00e4', "https://example.com/" + "x" * 1005)),
            ),
            (1, True, [], {}),
        ),
        converters.boolean: Samples(((True, True), (False, False)), (1, 0, 1.0, "true", "", [], {})),
        converters.health: Samples(
            tuple((name, HealthStatus[name.upper()]) for name in ("degraded", "healthy", "down", "unknown")),
            ("HEALTHY", "Down", " healthy", "", "maintenance", 1, True, [], {}),
        ),
        converters.non_negative: Samples(
            ((558, 558.0), (0, 0.0), (0.25, 0.25), (10**308, 1e308)),
            (-1, -0.001, "558", "", True, False, [], {}, HUGE, -HUGE),
        ),
        converters.timestamp: Samples(
            (
                ("2026-08-20T02:00:04.5Z", 1787191204.5),
                ("2026-08-20T02:00:04.118273Z", 1787191204.118273),
                ("2026-08-20T02:00:06.123456789Z", 1787191206.123457),
                *(("2026-08-20T02:00:06+00:00", 1787191206.0), ("2026-08-20T02:00:06-00:00", 1787191206.0)),
                *(("2026-08-20T04:30:06+02:30", 1787191206.0), ("2026-08-19T19:00:06-07:00", 1787191206.0)),
                *(("2026-08-20t02:00:06z", 1787191206.0), ("2026-08-20 02:00:06Z", 1787191206.0)),
                ("2026-08-20T02:00:06", 1787191206.0),
                ("2024-02-29T23:59:59Z", 1709251199.0),
                ("1970-01-01T00:00:00Z", 0.0),
                ("0001-01-01T00:00:00Z", -62_135_596_800.0),
                ("9999-12-31T23:59:59Z", 253_402_300_799.0),
            ),
            (
                *(0, 1787191206, 1787191206.5, True, [], {}, "", "now", "1787191206", "2026-08-20"),
                *("2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-08-20T24:00:00Z"),
                *("2026-08-20T02:60:00Z", "2026-08-20T02:00Z", "2026-08-20T02:00:06Zulu"),
                *("20260820T020006Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
                "Thu, 20 Aug 2026 02:00:06 GMT",
            ),
        ),
    }
)
"""The first sample of each is an ordinary value that is not 0."""


def row(values: Mapping[str, object]) -> dict[str, Any]:
    """Return a row of the list that has these values, by path."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        *parents, key = path.split(".")
        inner = made
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return made


def sample(field: Field) -> Any:
    """Return a valid JSON value of a field."""
    return SAMPLES[field.convert].valid[0][0]
