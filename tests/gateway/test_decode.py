"""Bytes of the gateway become values; a bad field loses only itself, a bad document is told by its kind."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.errors import GatewayError, Outcome
from exporter.gateway.decode import FIELD_NAMES, FIELDS, MAX_TEXT, MAX_VALUES, decode, parse
from exporter.model.endpoints import Endpoint
from exporter.model.provider import HealthStatus, Provider, ProviderList, ProviderStats
from tests.replay import recorded_body

LIST = recorded_body("04-list-include-inactive.http")
STATS = recorded_body("07-stats.http")
COUNTS = {"total": 7, "active": 6, "inactive": 1, "healthy": 2, "degraded": 3, "down": 1, "unknown": 1}
FLAGS = (
    "is_active",
    "supports_streaming",
    "supports_function_calling",
    "supports_vision",
    "supports_image_generation",
)
HUGE = 10**400
"""An integer that no double holds."""


def providers(body: bytes) -> ProviderList:
    """Return the list that a body is decoded to."""
    answer = decode(Endpoint.PROVIDERS, parse(body))
    assert isinstance(answer, ProviderList)
    return answer


def rows(*values: object) -> ProviderList:
    """Return what a list of these rows is decoded to."""
    return providers(json.dumps(values).encode())


def stats(body: bytes) -> ProviderStats:
    """Return the counts that a body is decoded to."""
    answer = decode(Endpoint.STATS, parse(body))
    assert isinstance(answer, ProviderStats)
    return answer


def error_of(endpoint: Endpoint, body: bytes) -> GatewayError:
    """Return the error of a body that cannot be decoded."""
    with pytest.raises(GatewayError) as caught:
        decode(endpoint, parse(body))
    return caught.value


def short(value: object) -> str:
    """Return a name for a value, for the name of its test."""
    return repr(value)[:30]


def unix(text: str) -> float:
    """Return Unix seconds of a date-time by another parser than ours."""
    return datetime.fromisoformat(text).timestamp()


# The recorded answers


def test_recorded_list_is_complete() -> None:
    """Every recorded row becomes a provider, in the gateway's order, with nothing left out."""
    answer = providers(LIST)

    assert [row["slug"] for row in json.loads(LIST)] == [provider.slug for provider in answer.providers]
    assert (40, 40, {}) == (len(answer.providers), answer.rows, dict(answer.invalid_fields))
    assert not answer.is_empty


def test_recorded_row() -> None:
    """A recorded row has each of its values in the attribute that stands for it."""
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
        last_health_check=unix("2026-07-04T12:00:31.207764+00:00"),
    )


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        *((name, name) for name in FLAGS),
        ("name", "name"),
        ("average_response_time_ms", "response_time_ms"),
    ],
)
def test_recorded_fields(name: str, attribute: str) -> None:
    """A recorded field is the same in all rows, null included, as any JSON parser says it is."""
    expected = [row[name] for row in json.loads(LIST)]

    assert expected == [getattr(provider, attribute) for provider in providers(LIST).providers]


def test_recorded_health_agrees_with_recorded_stats() -> None:
    """The recorded list has as many providers of each health as the recorded counts say."""
    counts = stats(STATS)
    health = Counter(provider.health.label for provider in providers(LIST).providers)

    assert {"healthy": 21, "degraded": 6, "down": 5, "unknown": 8} == health
    assert (21, 6, 5, 8) == (counts.healthy, counts.degraded, counts.down, counts.unknown)


def test_recorded_stats() -> None:
    """The recorded counts are decoded each to its own attribute."""
    expected = ProviderStats(total=40, active=34, inactive=6, healthy=21, degraded=6, down=5, unknown=8)

    assert expected == stats(STATS)
    assert not stats(STATS).is_empty


def test_recorded_empty_table() -> None:
    """The recorded answers of an empty table are empty, and no errors."""
    listed = providers(recorded_body("19-list-empty-table.http"))
    counted = stats(recorded_body("20-stats-empty-table.http"))

    assert ((), 0, {}) == (listed.providers, listed.rows, dict(listed.invalid_fields))
    assert ProviderStats(0, 0, 0, 0, 0, 0, 0) == counted
    assert listed.is_empty
    assert counted.is_empty


# Field by field


@pytest.mark.parametrize(
    ("field", "value", "attribute", "expected"),
    [
        ("name", "OpenAI", "name", "OpenAI"),
        ("name", "", "name", ""),
        ("name", 'a "b"\n\\c', "name", 'a "b"\n\\c'),
        ("name", "\N{GRINNING FACE}", "name", "\N{GRINNING FACE}"),
        ("name", "n" * MAX_TEXT, "name", "n" * MAX_TEXT),
        ("name", None, "name", ""),
        ("id", 16, "id", "16"),
        ("id", 0, "id", "0"),
        ("id", 2**63 - 1, "id", "9223372036854775807"),
        ("id", "b7e2", "id", "b7e2"),
        ("id", None, "id", ""),
        ("health_status", "unknown", "health", HealthStatus.UNKNOWN),
        ("health_status", "healthy", "health", HealthStatus.HEALTHY),
        ("health_status", "degraded", "health", HealthStatus.DEGRADED),
        ("health_status", "down", "health", HealthStatus.DOWN),
        ("health_status", None, "health", HealthStatus.UNKNOWN),
        *((flag, value, flag, value) for flag in FLAGS for value in (True, False, None)),
        ("average_response_time_ms", 558, "response_time_ms", 558.0),
        ("average_response_time_ms", 0, "response_time_ms", 0.0),
        ("average_response_time_ms", 0.25, "response_time_ms", 0.25),
        ("average_response_time_ms", 10**308, "response_time_ms", 1e308),
        ("average_response_time_ms", None, "response_time_ms", None),
        ("last_health_check_at", None, "last_health_check", None),
    ],
    ids=short,
)
def test_good_field(field: str, value: object, attribute: str, expected: object) -> None:
    """A value as the contract has it is taken, null means that nothing is known, and nothing is counted."""
    answer = rows({"slug": "a", field: value})

    actual = getattr(answer.providers[0], attribute)
    assert (type(expected), expected) == (type(actual), actual)
    assert {} == dict(answer.invalid_fields)


BAD: tuple[tuple[str, str, object, tuple[object, ...]], ...] = (
    ("name", "name", "", (1, True, [], {}, "n" * (MAX_TEXT + 1))),
    ("id", "id", "", (1.0, True, False, [], {}, "i" * (MAX_TEXT + 1), 2**63, -(2**63) - 1, HUGE)),
    (
        "health_status",
        "health",
        HealthStatus.UNKNOWN,
        ("HEALTHY", "Down", " healthy", "", "maintenance", 1, True, [], {}),
    ),
    *((flag, flag, None, (1, 0, 1.0, "true", "", [], {})) for flag in FLAGS),
    (
        "average_response_time_ms",
        "response_time_ms",
        None,
        (-1, -0.001, "558", "", True, False, [], {}, HUGE, -HUGE),
    ),
    (
        "last_health_check_at",
        "last_health_check",
        None,
        (0, 1787191206, 1787191206.5, True, [], {}, "", "now", "1787191206", "2026-08-20"),
    ),
)
"""Field, attribute, what it is instead, and the values that the contract does not have."""


@pytest.mark.parametrize(
    ("field", "attribute", "expected", "value"),
    [(*names, value) for *names, values in BAD for value in values],
    ids=short,
)
def test_bad_field(field: str, attribute: str, expected: object, value: object) -> None:
    """A value that the contract does not have is left out and counted, and the row keeps all the rest."""
    answer = rows({"slug": "a", "name": "A", "id": 1, "health_status": "down", field: value})
    good: dict[str, Any] = {"slug": "a", "name": "A", "id": "1", "health": HealthStatus.DOWN}

    assert Provider(**{**good, attribute: expected}) == answer.providers[0]
    assert {field: 1} == dict(answer.invalid_fields)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e400"])
def test_number_beyond_a_double(number: str) -> None:
    """A number that is JSON but beyond a double loses only its own field."""
    answer = providers(f'[{{"slug":"a","name":"A","average_response_time_ms":{number}}}]'.encode())

    assert (Provider("a", name="A"),) == answer.providers
    assert {"average_response_time_ms": 1} == dict(answer.invalid_fields)


def test_number_beyond_a_double_elsewhere() -> None:
    """A number beyond a double in a field that nobody reads is no harm."""
    answer = providers(b'[{"slug":"a","metadata":{"weight":1e999}}]')

    assert ((Provider("a"),), {}) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-08-20T02:00:06Z", "2026-08-20T02:00:06+00:00"),
        ("2026-08-20T02:00:04.118273Z", "2026-08-20T02:00:04.118273+00:00"),
        ("2026-08-20T02:00:04.6Z", "2026-08-20T02:00:04.600000+00:00"),
        ("2026-08-20T02:00:06+00:00", "2026-08-20T02:00:06+00:00"),
        ("2026-08-20T02:00:06-00:00", "2026-08-20T02:00:06+00:00"),
        ("2026-08-20T04:30:06+02:30", "2026-08-20T02:00:06+00:00"),
        ("2026-08-19T19:00:06-07:00", "2026-08-20T02:00:06+00:00"),
        ("2026-08-20t02:00:06z", "2026-08-20T02:00:06+00:00"),
        ("2026-08-20 02:00:06Z", "2026-08-20T02:00:06+00:00"),
        ("2026-08-20T02:00:06", "2026-08-20T02:00:06+00:00"),
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_timestamp(text: str, same: str) -> None:
    """A timestamp in any form of RFC 3339 is the same moment; without an offset it is UTC."""
    answer = rows({"slug": "a", "last_health_check_at": text})

    assert unix(same) == answer.providers[0].last_health_check
    assert {} == dict(answer.invalid_fields)


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "FAR-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_timestamp_without_offset_far_from_utc() -> None:
    """A timestamp without an offset is UTC wherever the exporter runs."""
    (provider,) = rows({"slug": "a", "last_health_check_at": "1970-01-01T00:00:05"}).providers

    assert 5.0 == provider.last_health_check


def test_timestamp_keeps_its_fraction() -> None:
    """Nine decimals are read to the microsecond."""
    (provider,) = rows({"slug": "a", "last_health_check_at": "2026-08-20T02:00:06.123456789Z"}).providers

    moment = datetime(2026, 8, 20, 2, 0, 6, tzinfo=UTC).timestamp()
    assert provider.last_health_check == pytest.approx(moment + 0.123457, abs=2e-6)


@pytest.mark.parametrize(
    "text",
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
def test_text_that_is_no_timestamp(text: str) -> None:
    """A text that is no moment of the years 1 to 9999 in UTC is counted and leaves no timestamp."""
    answer = rows({"slug": "a", "last_health_check_at": text})

    assert ((Provider("a"),), {"last_health_check_at": 1}) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize("length", [1, MAX_TEXT])
def test_slug(length: int) -> None:
    """A slug may have up to 256 characters."""
    answer = rows({"slug": "s" * length})

    assert ((Provider("s" * length),), {}) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize("value", [None, "", 0, 1, 1.5, True, False, [], ["a"], {}, "s" * 257], ids=short)
def test_row_without_a_usable_slug(value: object) -> None:
    """A row whose slug is no usable text is dropped and counted; the others stay."""
    answer = rows({"slug": "a"}, {"slug": value}, {"slug": "b"})

    assert (Provider("a"), Provider("b")) == answer.providers
    assert (3, {"slug": 1}) == (answer.rows, dict(answer.invalid_fields))


def test_row_without_any_slug() -> None:
    """A row that has no slug at all is dropped and counted."""
    answer = rows({"slug": "a"}, {"name": "B"})

    assert ((Provider("a"),), {"slug": 1}) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize("value", [None, 1, "a", True, [], [{"slug": "b"}]], ids=short)
def test_row_that_is_no_object(value: object) -> None:
    """A row that is no object is dropped and counted as a record."""
    answer = rows({"slug": "a"}, value)

    assert (Provider("a"),) == answer.providers
    assert (2, {"record": 1}) == (answer.rows, dict(answer.invalid_fields))


def test_duplicate_slugs() -> None:
    """Of several rows with one slug the first wins, and each further one is counted."""
    answer = rows(
        {"slug": "a", "name": "first"},
        {"slug": "b"},
        {"slug": "a", "name": "second", "is_active": True},
        {"slug": "a"},
    )

    assert (Provider("a", name="first"), Provider("b")) == answer.providers
    assert (4, {"slug": 2}) == (answer.rows, dict(answer.invalid_fields))


def test_invalid_fields_add_up() -> None:
    """Bad values are counted by field over all rows."""
    answer = rows(
        {"slug": "a", "is_active": 1, "id": 1.5},
        {"slug": "b", "is_active": "yes", "health_status": "fine"},
        7,
        {},
    )

    assert {"is_active": 2, "id": 1, "health_status": 1, "record": 1, "slug": 1} == dict(
        answer.invalid_fields
    )


def test_unknown_fields_are_ignored() -> None:
    """Fields that the gateway may add do no harm."""
    answer = rows({"slug": "a", "metadata": None, "price": 5, "tags": ["x"], "health": "down"})

    assert ((Provider("a"),), {}) == (answer.providers, dict(answer.invalid_fields))


def test_names_of_fields() -> None:
    """The label `field` has the names of the gateway's fields, and `record` for a whole row."""
    assert (
        "record",
        "slug",
        "name",
        "id",
        "health_status",
        *FLAGS,
        "average_response_time_ms",
        "last_health_check_at",
    ) == FIELD_NAMES


def test_every_attribute_has_a_field() -> None:
    """Each attribute of a provider is filled by exactly one field."""
    assert sorted(Provider.__struct_fields__) == sorted(field.attribute for field in FIELDS)


# Documents


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"[",
        b"{",
        b'[{"slug":"hush"}',
        b'{"total":1,"hush":',
        b'{"total":1}}',
        b"[] hush",
        b"[][]",
        b"[1,]",
        b"hush",
        b"<html>hush</html>",
        b"['hush']",
        b"[01]",
        b"NaN",
        b'[{"slug":"hush","average_response_time_ms":NaN}]',
        b'{"total":NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b'[{"slug":"hush","name":"\\ud800"}]',
        b'[{"slug":"hush","name":"\\udc00 "}]',
        b'[{"slug":"hush","name":"\\ud800\\ud800"}]',
        b'[{"slug":"hush","\\ud800":1}]',
        b'[{"slug":"hush\n"}]',
        b"\xef\xbb\xbf[]",
        "[]".encode("utf-16"),
        "[]".encode("utf-16-le"),
        b'[{"slug":"hush\xff"}]',
        b'[{"slug":"hush","description":"\xff"}]',
        b'[{"slug":"hush","\xff":1}]',
        b'[{"slug":"hush","name":"\xed\xa0\x80"}]',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        LIST[:-1],
        LIST[: len(LIST) // 2],
    ],
    ids=[
        "empty",
        "white space",
        "open array",
        "open object",
        "truncated list",
        "truncated object",
        "bracket too many",
        "text after",
        "two documents",
        "trailing comma",
        "word",
        "HTML",
        "single quotes",
        "leading zero",
        "NaN",
        "NaN in a field",
        "NaN in a count",
        "Infinity",
        "-Infinity",
        "lone high surrogate",
        "lone low surrogate",
        "two high surrogates",
        "lone surrogate in a key",
        "raw line break",
        "byte order mark",
        "UTF-16 with mark",
        "UTF-16",
        "invalid UTF-8",
        "invalid UTF-8 in a field nobody reads",
        "invalid UTF-8 in a key",
        "surrogate in UTF-8",
        "100,000 open brackets",
        "100,000 nested arrays",
        "100,000 nested objects",
        "recorded list without its end",
        "half of the recorded list",
    ],
)
def test_not_json(endpoint: Endpoint, body: bytes) -> None:
    """What is not JSON by RFC 8259 is `not_json`, told by its size and without any of its text."""
    error = error_of(endpoint, body)

    assert (Outcome.NOT_JSON, f"{len(body)} bytes that do not parse") == (error.outcome, error.detail)
    assert "hush" not in f"{error} {error!r} {error.hint}"


@pytest.mark.parametrize(
    "body",
    [b"{}", b"null", b"true", b"1", b"1e999", b'"hush"', b'{"error":{"message":"hush"}}', STATS],
    ids=short,
)
def test_list_that_is_no_array(body: bytes) -> None:
    """A list that is not an array is `wrong_shape`, told without any of its text."""
    error = error_of(Endpoint.PROVIDERS, body)

    assert (Outcome.WRONG_SHAPE, "not an array") == (error.outcome, error.detail)
    assert "hush" not in f"{error} {error!r} {error.hint}"


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"[1]", 1), (b'[null,"hush",[],{}]', 4), (b'[{"slug":""},{"name":"hush"}]', 2)],
    ids=["number", "nothing usable", "no slugs"],
)
def test_list_without_any_provider(body: bytes, count: int) -> None:
    """A list of which no row is usable is `wrong_shape`: it must not pass for an empty one."""
    error = error_of(Endpoint.PROVIDERS, body)

    assert Outcome.WRONG_SHAPE is error.outcome
    assert f"none of {count} rows is a provider" == error.detail


@pytest.mark.parametrize("name", sorted(COUNTS))
@pytest.mark.parametrize(
    "value",
    [None, True, False, -1, 1.0, 1.5, "1", "", [], {}, 2**53 + 1, HUGE],
    ids=short,
)
def test_count_that_cannot_be(name: str, value: object) -> None:
    """A count that is no whole number from 0 up makes all the counts `wrong_shape`."""
    error = error_of(Endpoint.STATS, json.dumps({**COUNTS, name: value}).encode())

    assert (Outcome.WRONG_SHAPE, "not seven whole numbers from 0 up") == (error.outcome, error.detail)


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_count_that_is_missing(name: str) -> None:
    """Counts of which one is missing are `wrong_shape`."""
    body = json.dumps({other: count for other, count in COUNTS.items() if other != name}).encode()

    assert Outcome.WRONG_SHAPE is error_of(Endpoint.STATS, body).outcome


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"hush"', b'{"total":1e999}', LIST], ids=short)
def test_counts_that_are_no_object(body: bytes) -> None:
    """Counts that are not an object of counts are `wrong_shape`, told without any of their text."""
    error = error_of(Endpoint.STATS, body)

    assert Outcome.WRONG_SHAPE is error.outcome
    assert "hush" not in f"{error} {error!r} {error.hint}"


@pytest.mark.parametrize("value", [0, 1, 2**53], ids=["zero", "one", "largest whole double"])
def test_count(value: int) -> None:
    """A count may be 0, and as large as a double can hold exactly."""
    assert stats(json.dumps({**COUNTS, "down": value}).encode()) == ProviderStats(**{**COUNTS, "down": value})


def test_counts_beside_others() -> None:
    """Further counts that the gateway may add are ignored."""
    assert ProviderStats(**COUNTS) == stats(json.dumps({**COUNTS, "paused": 1, "note": None}).encode())


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('{"slug":"a","slug":"b"}', Provider("b")),
        ('{"slug":"a","name":"first","name":"last"}', Provider("a", name="last")),
        ('{"slug":"a","is_active":1,"is_active":true}', Provider("a", is_active=True)),
    ],
    ids=["slug", "name", "bad before good"],
)
def test_duplicate_keys(row: str, expected: Provider) -> None:
    """Of a key that comes twice in one object the last counts, as JSON parsers have it."""
    answer = providers(f"[{row}]".encode())

    assert ((expected,), {}) == (answer.providers, dict(answer.invalid_fields))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_deep_metadata(opening: str, closing: str) -> None:
    """Free-form metadata may be 200 levels deep."""
    metadata = opening * 200 + "1" + closing * 200

    assert (Provider("a"),) == providers(f'[{{"slug":"a","metadata":{metadata}}}]'.encode()).providers


def test_escaped_pair_of_surrogates() -> None:
    """A pair of surrogates is one character, and no error."""
    answer = providers(b'[{"slug":"a","name":"\\ud83d\\ude00"}]')

    assert (Provider("a", name="\N{GRINNING FACE}"),) == answer.providers


def test_white_space_around_a_document() -> None:
    """White space around the document is no part of it."""
    assert (Provider("a"),) == providers(b' \r\n[ {"slug" : "a"} ]\t\n').providers


def test_answers_are_frozen() -> None:
    """Nothing can change an answer once it is decoded."""
    answer: Any = rows({"slug": "a", "id": 1.5})
    fields: Mapping[str, int] = answer.invalid_fields

    with pytest.raises(AttributeError):
        answer.rows = 0
    with pytest.raises(AttributeError):
        answer.providers[0].slug = "b"
    with pytest.raises(TypeError):
        fields["id"] = 0  # type: ignore[index]


# Limits


def test_rows_of_the_contract_fit() -> None:
    """Tens of thousands of rows like the recorded ones have no more values than are allowed."""
    values = sum(map(LIST.count, b"[{,"))

    assert values / 40 * 60_000 < MAX_VALUES


def test_most_values() -> None:
    """A body of more values than are allowed is too large before any of them is made."""
    allowed = b'[{"slug":"a","metadata":[' + b"0," * (MAX_VALUES - 4) + b"0]}]"

    assert 1 == len(providers(allowed).providers)
    error = error_of(Endpoint.PROVIDERS, allowed.replace(b"[0,", b"[0,0,"))
    assert (Outcome.TOO_LARGE, "more than 2000000 values") == (error.outcome, error.detail)
