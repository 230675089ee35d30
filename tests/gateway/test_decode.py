"""Tests of the decoding of the gateway's answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.errors import GatewayError, Outcome
from exporter.gateway import decode as module
from exporter.gateway.decode import MAX_VALUES, decode, parse
from exporter.model.converters import non_negative, slug, timestamp
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELDS, PUBLISHED_ONLY, Field
from exporter.model.provider import HealthStatus, Provider, ProviderList, ProviderStats
from tests.replay import recorded_body
from tests.samples import HUGE, SAMPLES, row, sample

LISTED, COUNTED = Endpoint
LIST = recorded_body("04-list-include-inactive.http")
STATS = recorded_body("07-stats.http")
COUNTS = {"total": 7, "active": 6, "inactive": 1, "healthy": 2, "degraded": 3, "down": 1, "unknown": 1}
MISSING = object()
NONE = (None,) * len(PUBLISHED_ONLY)
BEYOND_THE_SLUG = [field for field in FIELDS if field.path != "slug"]


def providers(body: bytes) -> ProviderList:
    """Return the decoded list."""
    answer = decode(LISTED, parse(body))
    assert isinstance(answer, ProviderList)
    return answer


def rows(*values: object) -> ProviderList:
    """Return the decoded list of these rows."""
    return providers(json.dumps(values).encode())


def stats(body: bytes) -> ProviderStats:
    """Return the decoded counts."""
    answer = decode(COUNTED, parse(body))
    assert isinstance(answer, ProviderStats)
    return answer


def error_of(endpoint: Endpoint, body: bytes) -> tuple[Outcome, str]:
    """Return outcome and detail of a body that cannot be decoded; no error has the word `hush`."""
    with pytest.raises(GatewayError) as caught:
        decode(endpoint, parse(body))
    error = caught.value
    assert "hush" not in f"{error} {error!r} {error.hint}"
    return error.outcome, error.detail


def slugs(answer: ProviderList) -> list[str]:
    """Return the slugs of a list."""
    return [provider.slug for provider in answer.providers]


def value_of(field: Field, provider: Provider) -> object:
    """Return the decoded value of a field, None if there is none."""
    if field.attribute:
        return getattr(provider, field.attribute)
    return provider.published[PUBLISHED_ONLY.index(field.path)]


def short(value: object) -> str:
    """Return a test id."""
    if value is MISSING:
        return "missing"
    return value.path if isinstance(value, Field) else repr(value)[:30]


# Recorded answers


def test_recorded_list() -> None:
    """Decodes all recorded rows in the gateway's order, without an invalid field."""
    answer = providers(LIST)

    assert [row["slug"] for row in json.loads(LIST)] == slugs(answer)
    assert (40, {}, False) == (answer.rows, dict(answer.invalid_fields), answer.is_empty)


def test_recorded_row() -> None:
    """Decodes each field of a recorded row into its attribute."""
    provider = providers(LIST).providers[0]

    assert provider == Provider(
        slug="aihubmix",
        name="AiHubMix",
        id="16",
        health=HealthStatus.HEALTHY,
        is_active=False,
        supports_streaming=True,
        supports_function_calling=False,
        supports_vision=False,
        supports_image_generation=False,
        response_time_ms=558.0,
        last_health_check=timestamp("2026-07-04T12:00:31.207764+00:00"),
        site_url="https://aihubmix.com",
        published=provider.published,
    )


def test_recorded_stats() -> None:
    """Decodes each recorded count into its attribute; the recorded list has the same counts of health."""
    counts = stats(STATS)
    health = Counter(provider.health.label for provider in providers(LIST).providers)

    assert ProviderStats(40, active=34, inactive=6, healthy=21, degraded=6, down=5, unknown=8) == counts
    assert {"healthy": 21, "degraded": 6, "down": 5, "unknown": 8} == health
    assert not counts.is_empty


def test_recorded_empty_table() -> None:
    """The recorded answers of an empty table are empty and valid."""
    listed = providers(recorded_body("19-list-empty-table.http"))
    counted = stats(recorded_body("20-stats-empty-table.http"))

    assert ProviderList((), 0, {}) == listed
    assert ProviderStats(0, 0, 0, 0, 0, 0, 0) == counted
    assert (True, True) == (listed.is_empty, counted.is_empty)


# Fields


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [(field, *pair) for field in FIELDS for pair in SAMPLES[field.convert].valid],
    ids=short,
)
def test_valid_field(field: Field, value: object, expected: object) -> None:
    """Decodes a valid value of each field, in the type of its attribute."""
    answer = rows(row({"slug": "a", field.path: value}))

    actual = value_of(field, answer.providers[0])
    assert (type(expected), expected) == (type(actual), actual)
    assert {} == dict(answer.invalid_fields)


@pytest.mark.parametrize("field", BEYOND_THE_SLUG, ids=short)
def test_null_or_missing_field(field: Field) -> None:
    """Null and a missing key, also of a part of the path, mean the same: no value, and not invalid."""
    first = field.path.split(".")[0]
    answer = rows(row({"slug": "a", field.path: None}), {"slug": "b"}, {"slug": "c", first: None})

    expected = value_of(field, Provider("x", published=NONE))
    assert [expected] * 3 == [value_of(field, found) for found in answer.providers]
    assert {} == dict(answer.invalid_fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field in BEYOND_THE_SLUG for value in SAMPLES[field.convert].invalid],
    ids=short,
)
def test_invalid_field(field: Field, value: object) -> None:
    """Drops and counts an invalid value, and keeps the rest of the row."""
    good = {other.path: sample(other) for other in FIELDS}
    (expected,) = rows(row({**good, field.path: None})).providers

    answer = rows(row({**good, field.path: value}))

    assert (expected,) == answer.providers
    assert {field.path: 1} == dict(answer.invalid_fields)


LIMIT, TIER = Field("metadata.limit", non_negative), Field("metadata.tier.level", non_negative)


@pytest.mark.parametrize(
    ("metadata", "published", "invalid"),
    [
        ({"limit": 5, "tier": {"level": 2}}, (5.0, 2.0), {}),
        ({"limit": 5, "tier": None}, (5.0, None), {}),
        ({}, (None, None), {}),
        (None, (None, None), {}),
        ({"limit": -1, "tier": {"level": 2}}, (None, 2.0), {"metadata.limit": 1}),
        ({"limit": 5, "tier": 7}, (5.0, None), {"metadata.tier.level": 1}),
        ([], (None, None), {"metadata.limit": 1, "metadata.tier.level": 1}),
    ],
    ids=short,
)
def test_nested_field(
    monkeypatch: pytest.MonkeyPatch, metadata: object, published: tuple[float | None, ...], invalid: object
) -> None:
    """Decodes a field within an object; a part of the path that is not an object is an invalid value."""
    keys = [(field, tuple(field.path.split("."))) for field in (FIELDS[0], LIMIT, TIER)]
    monkeypatch.setattr(module, "KEYS", keys)
    monkeypatch.setattr(module, "PUBLISHED_ONLY", (LIMIT.path, TIER.path))

    answer = rows({"slug": "a", "metadata": metadata})

    assert ((Provider("a", published=published),), invalid) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e400"])
def test_number_beyond_a_double(number: str) -> None:
    """A number that is JSON but beyond a double is an invalid value, and ignored elsewhere."""
    values = f'"average_response_time_ms":{number},"weight":{number}'
    answer = providers(f'[{{"slug":"a","name":"A",{values}}}]'.encode())

    assert [("A", None)] == [(provider.name, provider.response_time_ms) for provider in answer.providers]
    assert {"average_response_time_ms": 1} == dict(answer.invalid_fields)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        *((row, "slug") for row in ({"name": "B"}, *({"slug": value} for value in SAMPLES[slug].invalid))),
        *((value, "record") for value in (None, 1, "a", True, [], [{"slug": "b"}])),
    ],
    ids=short,
)
def test_invalid_row(row: object, field: str) -> None:
    """Drops and counts a row that has no valid slug, or is not an object, and keeps the others."""
    answer = rows({"slug": "a"}, row, {"slug": "b"})

    assert ["a", "b"] == slugs(answer)
    assert (3, {field: 1}) == (answer.rows, dict(answer.invalid_fields))


def test_duplicate_slugs() -> None:
    """Keeps the first of several rows with the same slug, and counts the others."""
    second = {"slug": "a", "name": "second", "is_active": True}
    answer = rows({"slug": "a", "name": "first"}, {"slug": "b"}, second, {"slug": "a"})

    assert (Provider("a", name="first", published=NONE), Provider("b", published=NONE)) == answer.providers
    assert (4, {"slug": 2}) == (answer.rows, dict(answer.invalid_fields))


def test_invalid_fields_add_up() -> None:
    """Counts invalid values by field over all rows."""
    second = {"slug": "b", "is_active": "yes", "health_status": "fine"}
    answer = rows({"slug": "a", "is_active": 1, "id": 1.5}, second, 7, {})

    expected = {"is_active": 2, "id": 1, "health_status": 1, "record": 1, "slug": 1}
    assert expected == dict(answer.invalid_fields)


# Documents


NOT_JSON: Mapping[str, bytes] = {
    "empty": b"",
    "whitespace": b"  \n",
    "open array": b"[",
    "truncated list": b'[{"slug":"hush"}',
    "bracket too many": b'{"total":1}}',
    "text after": b"[] hush",
    "trailing comma": b"[1,]",
    "word": b"hush",
    "HTML": b"<html>hush</html>",
    "single quotes": b"['hush']",
    "leading zero": b"[01]",
    "NaN": b"NaN",
    "NaN in a field": b'[{"slug":"hush","average_response_time_ms":NaN}]',
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "lone high surrogate": b'[{"slug":"hush","name":"\\ud800"}]',
    "lone low surrogate": b'[{"slug":"hush","name":"\\udc00 "}]',
    "two high surrogates": b'[{"slug":"hush","name":"\\ud800\\ud800"}]',
    "lone surrogate in a key": b'[{"slug":"hush","\\ud800":1}]',
    "raw line break": b'[{"slug":"hush\n"}]',
    "byte order mark": b"\xef\xbb\xbf[]",
    "UTF-16 with mark": "[]".encode("utf-16"),
    "UTF-16": "[]".encode("utf-16-le"),
    "invalid UTF-8": b'[{"slug":"hush\xff"}]',
    "invalid UTF-8 in an unknown field": b'[{"slug":"hush","description":"\xff"}]',
    "invalid UTF-8 in a key": b'[{"slug":"hush","\xff":1}]',
    "surrogate in UTF-8": b'[{"slug":"hush","name":"\xed\xa0\x80"}]',
    "100,000 open brackets": b"[" * 100_000,
    "100,000 nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 nested objects": b'{"a":' * 100_000,
    "half of the recorded list": LIST[: len(LIST) // 2],
}


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@pytest.mark.parametrize("name", NOT_JSON)
def test_not_json(endpoint: Endpoint, name: str) -> None:
    """A body that is not JSON by RFC 8259 is `not_json`; the error has its size and none of its text."""
    expected = (Outcome.NOT_JSON, f"{len(NOT_JSON[name])} bytes that do not parse")

    assert expected == error_of(endpoint, NOT_JSON[name])


NOT_AN_ARRAY, NOT_COUNTS = "not an array", "not seven whole numbers from 0 up"


@pytest.mark.parametrize(
    ("endpoint", "body", "detail"),
    [
        *[(LISTED, body, NOT_AN_ARRAY) for body in (b"{}", b"null", b"true", b"1", b"1e999", STATS)],
        *[(LISTED, body, NOT_AN_ARRAY) for body in (b'"hush"', b'{"error":{"message":"hush"}}')],
        (LISTED, b"[1]", "none of 1 rows is a provider"),
        (LISTED, b'[null,"hush",[],{}]', "none of 4 rows is a provider"),
        (LISTED, b'[{"slug":""},{"name":"hush"}]', "none of 2 rows is a provider"),
        *[
            (COUNTED, body, NOT_COUNTS)
            for body in (b"[]", b"null", b"7", b'"hush"', b'{"total":1e999}', LIST)
        ],
    ],
    ids=short,
)
def test_wrong_shape(endpoint: Endpoint, body: bytes, detail: str) -> None:
    """A list that is not an array or has no valid row is `wrong_shape`, and so are counts that are none."""
    assert (Outcome.WRONG_SHAPE, detail) == error_of(endpoint, body)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    "value", [MISSING, None, True, False, -1, 1.0, 1.5, "1", "", [], {}, 2**53 + 1, HUGE], ids=short
)
def test_invalid_count(name: str, value: object) -> None:
    """A count that is missing or not a whole number from 0 up is `wrong_shape`."""
    counts = {key: count for key, count in {**COUNTS, name: value}.items() if count is not MISSING}

    assert (Outcome.WRONG_SHAPE, NOT_COUNTS) == error_of(COUNTED, json.dumps(counts).encode())


@pytest.mark.parametrize("value", [0, 1, 2**53])
def test_valid_count(value: int) -> None:
    """Accepts counts from 0 to 2**53, and ignores other keys."""
    counts = {**COUNTS, "down": value}

    assert ProviderStats(**counts) == stats(json.dumps({**counts, "paused": 1, "note": None}).encode())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"slug":"a","slug":"b"}', {"slug": "b"}),
        ('{"slug":"a","name":"first","name":"last"}', {"slug": "a", "name": "last"}),
        ('{"slug":"a","is_active":1,"is_active":true}', {"slug": "a", "is_active": True}),
    ],
    ids=["slug", "name", "invalid before valid"],
)
def test_duplicate_keys(body: str, expected: object) -> None:
    """Uses the last value of a duplicate key, as JSON parsers do."""
    answer = providers(f"[{body}]".encode())

    assert (rows(expected).providers, {}) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_deep_metadata(opening: str, closing: str) -> None:
    """Accepts metadata of 200 levels."""
    metadata = opening * 200 + "1" + closing * 200

    (provider,) = providers(f'[{{"slug":"a","extra":{metadata}}}]'.encode()).providers
    assert "a" == provider.slug


def test_whitespace_and_escapes() -> None:
    """Ignores whitespace around the document, and decodes an escaped pair of surrogates as one character."""
    answer = providers(b' \r\n[ {"slug" : "a", "name":"\\ud83d\\ude00"} ]\t\n')

    assert "\N{GRINNING FACE}" == answer.providers[0].name


def test_answers_are_frozen() -> None:
    """Answers are immutable."""
    answer: Any = rows({"slug": "a", "id": 1.5})
    fields: Mapping[str, int] = answer.invalid_fields

    with pytest.raises(AttributeError):
        answer.rows = 0
    with pytest.raises(AttributeError):
        answer.providers[0].slug = "b"
    with pytest.raises(TypeError):
        fields["id"] = 0  # type: ignore[index]


# Limits


def test_recorded_rows_fit() -> None:
    """60,000 rows like the recorded ones are within the limit of values."""
    values = sum(map(LIST.count, b"[{,"))

    assert values / 40 * 60_000 < MAX_VALUES


def test_most_values() -> None:
    """A body with more values than the limit is `too_large`."""
    allowed = b'[{"slug":"a","metadata":[' + b"0," * (MAX_VALUES - 4) + b"0]}]"

    assert 1 == len(providers(allowed).providers)
    expected = (Outcome.TOO_LARGE, "more than 2000000 values")
    assert expected == error_of(LISTED, allowed.replace(b"[0,", b"[0,0,"))
