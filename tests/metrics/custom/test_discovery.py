"""Tests of `exporter.metrics.custom.discovery`."""

from __future__ import annotations

import json

import jmespath
import pytest

from exporter.metrics.custom.discovery import MASK, MAX_DEPTH, MAX_EXAMPLE, Records, example
from exporter.model.endpoints import Endpoint


def fields(*records: object) -> dict[str, tuple[int, str]]:
    """Return what is found in records: number of values and example by expression."""
    collected = Records(Endpoint.PROVIDERS)
    for record in records:
        assert collected.evaluate(record) is None  # type: ignore[func-returns-value]
    assert len(records) == collected.count
    return {path: (found.known, found.example) for path, found in collected.known_fields().items()}


def test_fields() -> None:
    """Fields are counted where they are not null; the first value is the example."""
    records = ({"a": None, "b": 1, "c": {"d": True, "e": []}}, {"a": "x", "b": 2, "c": {}}, {"b": 0})

    assert {"a": (1, '"x"'), "b": (3, "1"), "c.d": (1, "true"), "c.e": (1, "[]"), "c": (1, "{}")} == fields(
        *records
    )


def test_object_that_is_null() -> None:
    """An object that is null in some records is no field beside its own fields."""
    assert {"a.b": (1, "1")} == fields({"a": None}, {"a": {"b": 1}})
    assert {"a": (0, "")} == fields({"a": None})


@pytest.mark.parametrize("key", ["plain", "with-dash", "with.dot", 'with "quote"', "1", "\u00e4"])
def test_expression_finds_the_value(key: str) -> None:
    """The expression of a field finds its value, whatever its keys contain."""
    record = {"outer key": {key: 7}}
    (path,) = fields(record)

    assert 7 == jmespath.search(path, record)


def test_deep_record() -> None:
    """Objects below the largest depth are shown as they are."""
    record: object = 1
    for _ in range(MAX_DEPTH + 1):
        record = {"a": record}

    assert {".".join("a" * MAX_DEPTH): (1, '{"a": 1}')} == fields(record)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("api_key", "x"),
            ("TOKEN", "x"),
            ("client_secret", "x"),
            ("Password", "x"),
            ("authorization", "x"),
        ),
        *(
            ("other", "sk-123"),
            ("other", "Bearer x"),
            ("other", "eyJhbGci"),
            ("other", "ghp_x"),
            ("other", "a1" * 16),
        ),
        ("other", "https://user:hidden@example.com/x"),
    ],
)
def test_secrets(name: str, value: str) -> None:
    """Texts that look like secrets are masked, in lists and deep objects as well."""
    assert json.dumps(MASK) == example(name, value)
    assert json.dumps([MASK]) == example(name, [value])
    assert json.dumps({name: MASK}) == example("x", {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("api_key_env_var", "OPENAI_API_KEY"), ("key", 7), ("url", "https://example.com/a/b/c/d/e")],
)
def test_no_secrets(name: str, value: object) -> None:
    """Names of variables, numbers and URLs are shown."""
    assert json.dumps(value) == example(name, value)


def test_long_example() -> None:
    """A long value is cut."""
    assert f'"{"x y " * 14}...' == example("a", "x y " * 100)
    assert MAX_EXAMPLE == len(example("a", "x y " * 100))
