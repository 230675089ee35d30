"""Every field of a record with all kinds of values: an invalid one is left out alone, and counted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.model.fields import FIELD_NAMES
from tests.faults.front import Front, front
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import Scrape, parsed, series
from tests.faults.peer import Gateway, Says, State, list_only
from tests.replay import answer

MISSING = object()
HUGE = 10**300 - 1
"""300 digits."""
LONG = "n" * 10_000
HEALTH = "gatewayz_provider_health_status"
TIME = "gatewayz_provider_response_time_ms"
CHECKED = "gatewayz_provider_last_health_check_timestamp_seconds"
FLAGS = (
    *("is_active", "supports_streaming", "supports_function_calling"),
    *("supports_vision", "supports_image_generation"),
)
NUMBER, DATE = "average_response_time_ms", "last_health_check_at"
CHECK = "2026-08-20T02:00:06Z"
MOMENT = datetime.fromisoformat(CHECK).timestamp()
GOOD: Mapping[str, Any] = {
    "name": "A",
    "id": 1,
    "health_status": "degraded",
    **dict.fromkeys(FLAGS, True),
    NUMBER: 7,
    DATE: CHECK,
}
FLAG_VALUES = {f"gatewayz_provider_{flag}": 1 for flag in FLAGS}
PUBLISHED: Mapping[str, float] = {HEALTH: 2, **FLAG_VALUES, TIME: 7, CHECKED: MOMENT}
"""The samples of a provider whose fields are all valid."""

HOSTILE = (
    *('a"b', "a\\b", "a\\", "a\nb", "a\r\nb", "\N{GRINNING FACE}", "\x01\x1b[31m\x7f", "\0", " ", "#"),
    *("</script><script>alert(1)</script>", '{provider="x"} 1', "\N{NO-BREAK SPACE}", "s" * 256),
    *("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
    "\x85\N{LINE SEPARATOR}\N{RIGHT-TO-LEFT OVERRIDE}",
)
"""Texts with a meaning in an exposition, a page or a terminal."""


@dataclass(frozen=True)
class Kind:
    """Values of a field with the same result."""

    field: str
    title: str
    values: tuple[object, ...]
    counted: bool
    """Whether each of them is counted as invalid."""
    metric: str
    """The metric, or the label of `gatewayz_provider_info`."""
    shown: float | str | None
    """Its value; None without a series."""


def kinds(field: str, metric: str, absent: float | str | None, wrong: tuple[object, ...]) -> Iterator[Kind]:
    """Yield the kinds that every field has; `absent` is published for both."""
    yield Kind(field, "null or missing", (None, MISSING), False, metric, absent)
    yield Kind(field, "of a wrong type", (*wrong, [], {}), True, metric, absent)


RFC_3339 = (
    *("2026-08-20T02:00:06Z", "2026-08-20t02:00:06z", "2026-08-20 02:00:06Z", "2026-08-20T02:00:06.000000Z"),
    *("2026-08-20T02:00:06.000000000Z", "2026-08-20T02:00:06", "2026-08-20T02:00:06+00:00"),
    *("2026-08-20T02:00:06-00:00", "2026-08-20T04:30:06+02:30", "2026-08-20T04:30:06+0230"),
    *("2026-08-19T19:00:06-07:00", "2026-08-21T01:59:06+23:59"),
)
NOT_RFC_3339 = (
    *("2026-W34-4T02:00:06Z", "2026-232T02:00:06Z", "20260820T020006Z", "2026-08-20", "2026-08-20T02:00Z"),
    *("2026-08-20T02Z", "2026-08-20T02:00:06+02", "2026-08-20T02:00:06+24:00", "2026-08-20T02:00:06,5Z"),
    *("2026-08-20T02:00:06.Z", "2026-08-20T24:00:00Z", "2026-02-30T00:00:00Z", "2016-12-31T23:59:60Z"),
    *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *("10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "1787191206", "Thu, 20 Aug 2026 02:00:06 GMT", ""),
)
KINDS: Sequence[Kind] = (
    *kinds("health_status", HEALTH, 0, (1, 2.0, True)),
    Kind("health_status", "unknown word", ("", "HEALTHY", " down", "maintenance", LONG), True, HEALTH, 0),
    *(
        kind
        for flag in FLAGS
        for kind in kinds(flag, f"gatewayz_provider_{flag}", None, (0, 1, 1.0, "true", ""))
    ),
    *kinds(NUMBER, TIME, None, ("558", "", True, False)),
    Kind(NUMBER, "negative", (-1, -0.5, -HUGE), True, TIME, None),
    Kind(NUMBER, "beyond a double", (10**400, 10**4000), True, TIME, None),
    Kind(NUMBER, "of 300 digits", (HUGE,), False, TIME, 1e300),
    Kind(NUMBER, "zero", (0, 0.0, -0.0), False, TIME, 0),
    *kinds(DATE, CHECKED, None, (0, 1787191206, 1.5, True)),
    Kind(DATE, "huge", (HUGE, LONG), True, CHECKED, None),
    Kind(DATE, "in any form of RFC 3339", RFC_3339, False, CHECKED, MOMENT),
    Kind(DATE, "in year 1", ("0001-01-01T00:00:00Z",), False, CHECKED, -62_135_596_800),
    Kind(DATE, "in year 9999", ("9999-12-31T23:59:59Z",), False, CHECKED, 253_402_300_799),
    Kind(DATE, "in another form of ISO 8601, or not a date", NOT_RFC_3339, True, CHECKED, None),
    *kinds("name", "name", "", (1, 1.5, True)),
    Kind("name", "huge", (LONG,), True, "name", ""),
    *kinds("id", "id", "", (1.5, True)),
    Kind("id", "huge", (HUGE, 2**63, LONG), True, "id", ""),
    Kind("id", "negative", (-1,), False, "id", "-1"),
)

Running = tuple[Gateway, Front]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Running]:
    """One exporter for all kinds: remains of one would be visible in the next."""
    with Gateway() as gateway, front(gateway.url, FETCH_TIMEOUT="30") as running:
        yield gateway, running


def record(slug: object, **fields: object) -> dict[str, object]:
    """Return a record whose other fields are valid."""
    return {name: value for name, value in {"slug": slug, **GOOD, **fields}.items() if value is not MISSING}


def published(exporter: Running, rows: Sequence[object]) -> tuple[Scrape, list[str]]:
    """Poll a list of these rows; return the samples and the warnings in the log.

    Both parsers of prometheus_client must read the same samples.
    """
    gateway, running = exporter
    gateway.become(State(list_only(Says(answer(200, json.dumps(rows).encode())))))
    running.poll()
    scrape, text = running.scrape(), running.get("/metrics", "application/openmetrics-text; version=1.0.0")
    again = {
        series(s.name, **s.labels): s.value for family in parse_openmetrics(text) for s in family.samples
    }
    ours = {key: value for key, value in scrape.items() if key[0].startswith("gatewayz_")}
    assert ours == {key: value for key, value in again.items() if key[0].startswith("gatewayz_")}
    assert parsed(running.get("/metrics")) == scrape
    return scrape, [line["message"] for line in running.rig.lines() if line["level"] in ("warning", "error")]


def invalid(scrape: Scrape) -> dict[str, float]:
    """Return the number of invalid values by field, without those that are 0."""
    counts = {name: scrape[series("gatewayz_exporter_invalid_fields", field=name)] for name in FIELD_NAMES}
    return {name: count for name, count in counts.items() if count}


def infos(scrape: Scrape) -> Mapping[str, Mapping[str, str]]:
    """Return the labels of `gatewayz_provider_info` by provider."""
    found = [dict(labels) for name, labels in scrape if name == "gatewayz_provider_info"]
    by_slug = {labels["provider"]: labels for labels in found}
    assert len(found) == len(by_slug)
    return by_slug


def values_of(scrape: Scrape, slug: str) -> dict[str, float]:
    """Return the values of a provider by metric."""
    found = {name: scrape.get(series(name, provider=slug)) for name in PUBLISHED}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.field}-{kind.title}")
def test_field(exporter: Running, kind: Kind, matrix: Matrix) -> None:
    """A value has the result of the table, and all other fields of its record are published."""
    rows = [record(f"p{number}", **{kind.field: value}) for number, value in enumerate(kind.values)]
    slugs = [f"p{number}" for number in range(len(rows))]
    expected, labels = dict(PUBLISHED), {"name": "A", "id": "1"}
    if isinstance(kind.shown, str):
        labels[kind.metric] = kind.shown
    elif kind.shown is None:
        del expected[kind.metric]
    else:
        expected[kind.metric] = kind.shown

    scrape, _ = published(exporter, [record("good"), *rows])

    assert 1 == scrape[series("gatewayz_up")]
    assert ({kind.field: float(len(rows))} if kind.counted else {}) == invalid(scrape)
    assert {"good", *slugs} == set(infos(scrape))
    assert PUBLISHED == values_of(scrape, "good")
    for slug in slugs:
        assert (slug, expected) == (slug, values_of(scrape, slug))
        assert {"provider": slug, **labels} == infos(scrape)[slug]
        states = [key for key in scrape if key[0] == "gatewayz_provider_health_state"]
        assert 1 == sum(scrape[key] for key in states if dict(key[1])["provider"] == slug)
    if kind.metric in GOOD:
        shown = f'label `{kind.metric}="{infos(scrape)["p0"][kind.metric]}"`'
    else:
        value = values_of(scrape, "p0").get(kind.metric)
        shown = f"`{kind.metric}` " + ("absent" if value is None else f"{value:.15g}")
    metrics = f"{shown}; {'counted' if invalid(scrape) else 'not counted'} as invalid"
    title = f"`{kind.field}` {kind.title}"
    matrix(Row("Records", KINDS.index(kind), title, "ok", metrics, "Updated provider metrics"))


def test_hostile_texts(exporter: Running, matrix: Matrix) -> None:
    """Any text can be a slug and a name, and is published unchanged."""
    scrape, warnings = published(exporter, [record(text, name=text) for text in HOSTILE])

    assert {text: text for text in HOSTILE} == {slug: info["name"] for slug, info in infos(scrape).items()}
    assert ({}, []) == (invalid(scrape), warnings)
    assert "<script>alert" not in exporter[1].get("/")
    title = "`slug` with quotes, backslashes, line ends, emoji, control characters, NUL, `</script>`"
    metrics = "all published unchanged; not counted"
    matrix(Row("Records", len(KINDS), title, "ok", metrics, "Updated provider metrics"))


@pytest.mark.parametrize(
    ("place", "title", "rows", "left", "counted"),
    [
        (1, "`slug` null, missing or empty", [record(None), record(MISSING), record("")], [], {"slug": 3}),
        (2, "`slug` of a wrong type", [*map(record, (1, 1.5, True, [], {}))], [], {"slug": 5}),
        (3, "`slug` of 10 KB", [record(LONG)], [], {"slug": 1}),
        (
            4,
            "Duplicate `slug`: the first wins",
            [record("a"), record("a", health_status="down")],
            ["a"],
            {"slug": 1},
        ),
        (5, "Rows that are not objects", [1, "x", None, [], True], [], {"record": 5}),
    ],
    ids=["null", "type", "long", "twice", "no objects"],
)
def test_slug(
    exporter: Running,
    place: int,
    title: str,
    rows: list[object],
    left: list[str],
    counted: Mapping[str, int],
    matrix: Matrix,
) -> None:
    """A record without a valid slug is left out and counted; all others are published."""
    scrape, _ = published(exporter, [*rows, record("good")])

    assert {*left, "good"} == set(infos(scrape))
    assert counted == invalid(scrape)
    assert [PUBLISHED] * (len(left) + 1) == [values_of(scrape, slug) for slug in (*left, "good")]
    metrics = f"the other records; {sum(invalid(scrape).values()):.0f} counted"
    matrix(Row("Records", len(KINDS) + place, title, "ok", metrics, "Updated provider metrics"))
