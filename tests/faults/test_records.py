"""Every field of a record with everything that it can hold: it loses itself at most, and is counted then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.model.fields import FIELD_NAMES
from tests.faults.front import Front, Scrape, front, parsed, series, settings_for
from tests.faults.matrix import Row
from tests.faults.peer import Gateway, Says, State, list_only
from tests.replay import answer

MISSING = object()
HUGE = 10**300 - 1
"""300 digits."""
LONG = "n" * 10_000
HEALTH = "gatewayz_provider_health_status"
TIME = "gatewayz_provider_response_time_ms"
CHECKED = "gatewayz_provider_last_health_check_timestamp_seconds"
INVALID = "gatewayz_exporter_invalid_fields"
FLAGS = (
    "is_active",
    "supports_streaming",
    "supports_function_calling",
    "supports_vision",
    "supports_image_generation",
)
GOOD: Mapping[str, Any] = {
    "name": "A",
    "id": 1,
    "health_status": "degraded",
    **dict.fromkeys(FLAGS, True),
    "average_response_time_ms": 7,
    "last_health_check_at": "2026-08-20T02:00:06Z",
}
MOMENT = datetime.fromisoformat("2026-08-20T02:00:06+00:00").timestamp()
PUBLISHED: Mapping[str, float] = {
    HEALTH: 2,
    **{f"gatewayz_provider_{flag}": 1 for flag in FLAGS},
    TIME: 7,
    CHECKED: MOMENT,
}
"""What `/metrics` says of a provider whose fields are all good."""

HOSTILE = (
    'a"b',
    "a\\b",
    "a\\",
    "a\nb",
    "a\r\nb",
    "\N{GRINNING FACE}",
    "\x01\x1b[31m\x7f",
    "\x85\N{LINE SEPARATOR}\N{RIGHT-TO-LEFT OVERRIDE}",
    "</script><script>alert(1)</script>",
    "\0",
    " ",
    "#",
    '{provider="x"} 1',
    "\N{NO-BREAK SPACE}",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "cafe\N{COMBINING ACUTE ACCENT}",
    "s" * 256,
)
"""Texts that mean something to those who read metrics, pages or terminals."""


@dataclass(frozen=True)
class Kind:
    """Values of a field that come to the same."""

    field: str
    title: str
    values: tuple[object, ...]
    counted: bool
    """Whether each of them is a value that was left out."""
    metric: str
    shown: float | str | None
    """What the metric (the label, where that is the field) says; None where there is no series."""


def text_field(name: str) -> Iterator[Kind]:
    """Yield the kinds of a field that is a label of `gatewayz_provider_info`."""
    numbers: tuple[object, ...] = (1.5,) if name == "id" else (1, 1.5)
    yield Kind(name, "null or missing", (None, MISSING), False, name, "")
    yield Kind(name, "of a wrong type", (*numbers, True, [], {}), True, name, "")
    huge: tuple[object, ...] = (HUGE, 2**63, LONG) if name == "id" else (LONG,)
    yield Kind(name, "huge", huge, True, name, "")
    if name == "id":
        yield Kind(name, "negative", (-1,), False, name, "-1")


KINDS: Sequence[Kind] = (
    Kind("health_status", "null or missing", (None, MISSING), False, HEALTH, 0),
    Kind("health_status", "of a wrong type", (1, 2.0, True, [], {}), True, HEALTH, 0),
    Kind("health_status", "another word", ("", "HEALTHY", " down", "maintenance", LONG), True, HEALTH, 0),
    *(
        Kind(flag, title, values, counted, f"gatewayz_provider_{flag}", None)
        for flag in FLAGS
        for title, values, counted in (
            ("null or missing", (None, MISSING), False),
            ("of a wrong type", (0, 1, 1.0, "true", "", [], {}), True),
        )
    ),
    Kind("average_response_time_ms", "null or missing", (None, MISSING), False, TIME, None),
    Kind("average_response_time_ms", "of a wrong type", ("558", "", True, False, [], {}), True, TIME, None),
    Kind("average_response_time_ms", "negative", (-1, -0.5, -HUGE), True, TIME, None),
    Kind("average_response_time_ms", "beyond a double", (10**400, 10**4000), True, TIME, None),
    Kind("average_response_time_ms", "of 300 digits", (HUGE,), False, TIME, 1e300),
    Kind("average_response_time_ms", "zero", (0, 0.0, -0.0), False, TIME, 0),
    Kind("last_health_check_at", "null or missing", (None, MISSING), False, CHECKED, None),
    Kind("last_health_check_at", "of a wrong type", (0, 1787191206, 1.5, True, [], {}), True, CHECKED, None),
    Kind("last_health_check_at", "huge", (HUGE, LONG), True, CHECKED, None),
    Kind(
        "last_health_check_at",
        "in any form of RFC 3339",
        (
            "2026-08-20T02:00:06Z",
            "2026-08-20t02:00:06z",
            "2026-08-20 02:00:06Z",
            "2026-08-20T02:00:06.000000Z",
            "2026-08-20T02:00:06.000000000Z",
            "2026-08-20T02:00:06",
            "2026-08-20T02:00:06+00:00",
            "2026-08-20T02:00:06-00:00",
            "2026-08-20T04:30:06+02:30",
            "2026-08-20T04:30:06+0230",
            "2026-08-19T19:00:06-07:00",
            "2026-08-21T01:59:06+23:59",
        ),
        False,
        CHECKED,
        MOMENT,
    ),
    Kind("last_health_check_at", "in year 1", ("0001-01-01T00:00:00Z",), False, CHECKED, -62_135_596_800),
    Kind("last_health_check_at", "in year 9999", ("9999-12-31T23:59:59Z",), False, CHECKED, 253_402_300_799),
    Kind(
        "last_health_check_at",
        "in another form of ISO 8601, or out of the calendar",
        (
            "2026-W34-4T02:00:06Z",
            "2026-232T02:00:06Z",
            "20260820T020006Z",
            "2026-08-20",
            "2026-08-20T02:00Z",
            "2026-08-20T02Z",
            "2026-08-20T02:00:06+02",
            "2026-08-20T02:00:06+24:00",
            "2026-08-20T02:00:06,5Z",
            "2026-08-20T02:00:06.Z",
            "2026-08-20T24:00:00Z",
            "2026-02-30T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "1787191206",
            "Thu, 20 Aug 2026 02:00:06 GMT",
            "",
        ),
        True,
        CHECKED,
        None,
    ),
    *text_field("name"),
    *text_field("id"),
)


@pytest.fixture(scope="module")
def exporter() -> Iterator[tuple[Gateway, Front]]:
    """One exporter for all kinds: what one leaves behind would show in the next."""
    with (
        Gateway() as gateway,
        front(settings_for(f"http://{gateway.address}", FETCH_TIMEOUT="30")) as running,
    ):
        yield gateway, running


def record(slug: object, **fields: object) -> dict[str, object]:
    """Return a record whose other fields are good."""
    return {name: value for name, value in {"slug": slug, **GOOD, **fields}.items() if value is not MISSING}


def published(exporter: tuple[Gateway, Front], rows: Sequence[object]) -> tuple[Scrape, list[str]]:
    """Answer with a list of these rows; return what `/metrics` says then, and the messages in the log.

    The exposition is read by both of Prometheus' own Python parsers, which have to read the same from it.
    """
    gateway, running = exporter
    gateway.become(State(list_only(Says(answer(200, json.dumps(rows).encode())))))
    running.poll()
    said = running.scrape()
    families = parse_openmetrics(
        running.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    )
    again = {series(s.name, **s.labels): s.value for family in families for s in family.samples}
    ours = {key: value for key, value in said.items() if key[0].startswith("gatewayz_")}
    assert ours == {key: value for key, value in again.items() if key[0].startswith("gatewayz_")}
    assert parsed(running.get("/metrics")) == said
    return said, [line["message"] for line in running.rig.lines() if line["level"] in ("warning", "error")]


def invalid(said: Scrape) -> dict[str, float]:
    """Return how many values of which fields were left out."""
    figures = {name: said[series(INVALID, field=name)] for name in FIELD_NAMES}
    return {name: figure for name, figure in figures.items() if figure}


def slugs(said: Scrape) -> list[str]:
    """Return the providers that are published."""
    return sorted(dict(labels)["provider"] for name, labels in said if name == "gatewayz_provider_info")


def labels_of(said: Scrape, slug: str) -> Mapping[str, str]:
    """Return the labels of a provider's info."""
    (labels,) = [
        dict(labels)
        for name, labels in said
        if name == "gatewayz_provider_info" and dict(labels)["provider"] == slug
    ]
    return labels


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.field}-{kind.title}")
def test_field(exporter: tuple[Gateway, Front], kind: Kind, matrix: Callable[[Row], None]) -> None:
    """A value comes to what the table says, and every other field of its record is published."""
    rows = [record(f"p{number}", **{kind.field: value}) for number, value in enumerate(kind.values)]

    said, _ = published(exporter, [record("good"), *rows])

    assert 1 == said[series("gatewayz_up")]
    assert ({kind.field: float(len(rows))} if kind.counted else {}) == invalid(said)
    assert sorted(["good", *(str(row["slug"]) for row in rows)]) == slugs(said)
    assert PUBLISHED == values_of(said, "good")
    expected = dict(PUBLISHED)
    labels = {"name": "A", "id": "1"}
    if isinstance(kind.shown, str):
        labels[kind.metric] = kind.shown
    elif kind.shown is None:
        del expected[kind.metric]
    else:
        expected[kind.metric] = kind.shown
    for row in rows:
        slug = str(row["slug"])
        assert (slug, expected) == (slug, values_of(said, slug))
        assert {"provider": slug, **labels} == labels_of(said, slug)
        assert 1 == sum(
            figure
            for (name, of), figure in said.items()
            if name == "gatewayz_provider_health_state" and dict(of)["provider"] == slug
        )
    matrix(
        Row(
            "Records",
            KINDS.index(kind),
            f"`{kind.field}` {kind.title}",
            "ok",
            f"{shown(kind, said)}; {'counted' if invalid(said) else 'not counted'} as invalid",
            "Updated provider metrics",
        )
    )


def values_of(said: Scrape, slug: str) -> dict[str, float]:
    """Return the values of a provider, by metric."""
    found = {name: said.get(series(name, provider=slug)) for name in PUBLISHED}
    return {name: value for name, value in found.items() if value is not None}


def shown(kind: Kind, said: Scrape) -> str:
    """Say what the metric of a kind's first value is."""
    if kind.metric in GOOD:
        return f'label `{kind.metric}="{labels_of(said, "p0")[kind.metric]}"`'
    value = values_of(said, "p0").get(kind.metric)
    return f"`{kind.metric}` " + ("absent" if value is None else f"{value:.15g}")


def test_slugs_of_hostile_texts(exporter: tuple[Gateway, Front], matrix: Callable[[Row], None]) -> None:
    """Every text can be a slug and a name, and is read again from `/metrics` as it was."""
    said, warnings = published(exporter, [record(text, name=text) for text in HOSTILE])

    assert sorted(HOSTILE) == slugs(said)
    assert {text: text for text in HOSTILE} == {text: labels_of(said, text)["name"] for text in HOSTILE}
    assert ({}, []) == (invalid(said), warnings)
    page = exporter[1].get("/")
    assert "<script>alert" not in page
    title = "`slug` with quotes, backslashes, line ends, emoji, control characters, NUL, `</script>`"
    log = "Updated provider metrics"
    matrix(Row("Records", len(KINDS), title, "ok", "all published, as they are; not counted", log))


@pytest.mark.parametrize(
    ("place", "title", "rows", "left", "counted"),
    [
        (1, "`slug` null, missing or empty", [record(None), record(MISSING), record("")], [], {"slug": 3}),
        (
            2,
            "`slug` of a wrong type",
            [record(1), record(1.5), record(True), record([]), record({})],
            [],
            {"slug": 5},
        ),
        (3, "`slug` of 10 KB", [record(LONG)], [], {"slug": 1}),
        (
            4,
            "`slug` that comes twice: the first wins",
            [record("a"), record("a", health_status="down")],
            ["a"],
            {"slug": 1},
        ),
        (5, "Rows that are no objects", [1, "x", None, [], True], [], {"record": 5}),
    ],
    ids=["null", "type", "long", "twice", "no objects"],
)
def test_slug(
    exporter: tuple[Gateway, Front],
    place: int,
    title: str,
    rows: list[object],
    left: list[str],
    counted: Mapping[str, int],
    matrix: Callable[[Row], None],
) -> None:
    """A record without a usable slug is left out and counted; the others stay."""
    said, _ = published(exporter, [*rows, record("good")])

    assert sorted([*left, "good"]) == slugs(said)
    assert counted == invalid(said)
    assert PUBLISHED == {**values_of(said, "good")}
    assert [PUBLISHED] * len(left) == [values_of(said, slug) for slug in left]
    metrics = f"the other records; {sum(invalid(said).values()):.0f} counted"
    matrix(Row("Records", len(KINDS) + place, title, "ok", metrics, "Updated provider metrics"))
