"""Tests of compiling and evaluating JMESPath expressions."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.custom.expression import (
    MAX_COPIES,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NODES,
    compile_expression,
)
from tests.properties.strategies import json_values

RECORD = {
    "metadata": {"rate_limit": 60, "models": ["a", "b"], "mixed": [1, "x", None], "nested": {"deep": [1, 2]}},
    "name": "OpenAI",
    "nothing": None,
}
PARTS = (
    *("a", "metadata", ".", "*", "[", "[]", "[?", "[0]", "[::0]", "]", "(", ")", "{", "}", ":", ",", "|"),
    *("||", "&&", "&", "@", "!", "==", "<", "`1`", '`"x"`', "`[1,2]`", "`null`", "'s'", '"q"', "1", "-1"),
    *("length", "sum", "max_by", "sort_by", "join", "map", "to_string", "to_number", "contains", "avg"),
    *("ceil", "merge", "keys", "not_null", "\\", "`", '"', "'", " ", "-", "\ud800"),
)


def problem(text: str) -> str:
    """Return the problem of an expression."""
    with pytest.raises(ValueError, match=r"^(is|has|calls|builds) .*\.$") as caught:
        compile_expression(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("metadata.rate_limit", 60),
        ("length(metadata.models)", 2),
        ("length(metadata.models[?@ == 'a'])", 1),
        ("metadata.nested.deep[1]", 2),
        ("max(metadata.nested.deep)", 2),
        ("join(', ', metadata.models)", "a, b"),
        ("name", "OpenAI"),
        ('"name"', "OpenAI"),
        ("metadata.rate_limit > `50`", True),
        ("metadata.missing || `0`", 0),
    ],
)
def test_values(text: str, value: object) -> None:
    """Returns the result of JMESPath."""
    assert value == compile_expression(text).evaluate(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "missing",
        "missing.deeper[0]",
        "name.first",
        "length(missing)",
        "length(metadata.missing)",
        "sum([metadata.rate_limit, missing])",
        "max(missing)",
        "join(',', missing)",
        "sort_by(metadata.mixed, &missing)",
    ],
)
def test_missing_values(text: str) -> None:
    """A missing value or null is None, also as an argument that a function of JMESPath rejects."""
    assert None is compile_expression(text).evaluate(RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "length(metadata.rate_limit)",
        "sum(metadata.models)",
        "max(metadata.mixed)",
        "metadata.models[::0]",
        "metadata.rate_limit > `50` && length(`5`)",
        "contains(name, `5`)",
        "name < `5`",
    ],
)
def test_evaluation_error(text: str) -> None:
    """Raises ValueError for any record that the expression cannot be evaluated for."""
    with pytest.raises(ValueError, match=r"^$"):
        compile_expression(text).evaluate(RECORD)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400])
def test_number_that_a_function_rejects(number: float) -> None:
    """Raises ValueError for numbers that are not finite or beyond a float."""
    with pytest.raises(ValueError, match=r"^$"):
        compile_expression("ceil(sum([@, `0.5`]))").evaluate(number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not a valid JMESPath expression."),
        ("a[", "is not a valid JMESPath expression (character 3)."),
        ("a..b", "is not a valid JMESPath expression (character 3)."),
        ("a b", "is not a valid JMESPath expression (character 3)."),
        ("#", "is not a valid JMESPath expression (character 1)."),
        ("'open", "is not a valid JMESPath expression (character 1)."),
        ("len(a)", "calls len(), which is not a function of JMESPath."),
        ("a[?len(@) == `1`]", "calls len(), which is not a function of JMESPath."),
        ("length(a, b)", "calls length() with 2 arguments instead of 1."),
        ("contains(a)", "calls contains() with 1 arguments instead of 2."),
        ("not_null()", "calls not_null() with 0 arguments instead of 1."),
        ("join(a, b)", "calls join() with a separator that is not a literal string."),
        ("a" * (MAX_LENGTH + 1), "is longer than 256 characters."),
        ("[" * MAX_LENGTH, "is not a valid JMESPath expression (character 257)."),
        ("(" * MAX_LENGTH, "is not a valid JMESPath expression (character 257)."),
        ("!" * MAX_DEPTH + "a", "is too complex (limit: 32 parts, 8 levels)."),
        ("a." * MAX_NODES + "a", "is too complex (limit: 32 parts, 8 levels)."),
        (f"[{'@,' * MAX_COPIES}@]", "builds more than 16 copies of its input."),
        ("[@,@,@].[@,@,@].[@,@]", "builds more than 16 copies of its input."),
        ("{a: @, b: @}.*.{a: @, b: @, c: @}.*.[@,@,@]", "builds more than 16 copies of its input."),
        (
            "@.to_string(@).to_string(@).to_string(@).to_string(@).to_string(@)",
            "builds more than 16 copies of its input.",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_rejected(text: str, expected: str) -> None:
    """Rejects an expression that is invalid or too expensive; the reason ends a sentence."""
    assert expected == problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * MAX_LENGTH,
        "!" * (MAX_DEPTH - 1) + "a",
        "a." * (MAX_NODES - 2) + "a",
        "[@,@].[@,@].[@,@].[@,@]",
        "not_null(a, b, c)",
        "merge(@, @, @)",
    ],
    ids=lambda text: text[:30],
)
def test_limits(text: str) -> None:
    """Accepts expressions at the limits."""
    assert text == compile_expression(text).text


def test_equal_by_text() -> None:
    """Expressions with the same text are equal; their representation is the text."""
    one, same, other = map(compile_expression, ("a.b", "a.b", "a.c"))

    assert (True, False) == (one == same, one == other)
    assert {one: 1} == {same: 1}
    assert "Expression(text='a.b')" == repr(one)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=12) | st.lists(st.characters(), max_size=20),
    record=json_values,
)
def test_any_text_and_any_record(parts: list[str], record: object) -> None:
    """For any text and record, compiling and evaluating raise ValueError or nothing."""
    with suppress(ValueError):
        compile_expression("".join(parts)).evaluate(record)


def test_worst_expression_is_bounded() -> None:
    """The most expensive expression costs a limited multiple of the record's size."""
    record: Any = {"metadata": {f"key{number}": ["x" * 20] * 5 for number in range(100)}}
    expression = compile_expression("[@,@].[@,@].[@,@].to_string(@)")
    text = str(record)

    begun = time.process_time()
    found = expression.evaluate(record)

    assert isinstance(found, str)
    assert len(found) < 2 * MAX_COPIES * len(text)
    assert time.process_time() - begun < 1
