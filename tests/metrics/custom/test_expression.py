"""Tests of compiling and evaluating JMESPath expressions."""

from __future__ import annotations

import re
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
MISSING = (
    *("nothing", "missing", "missing.deeper[0]", "name.first", "length(missing)", "length(metadata.missing)"),
    *("sum([metadata.rate_limit, missing])", "max(missing)", "join(',', missing)"),
    "sort_by(metadata.mixed, &missing)",
)
"""Expressions of a missing value or null, also as an argument that a function of JMESPath rejects."""
PARTS = (
    *("a", "metadata", ".", "*", "[", "[]", "[?", "[0]", "[::0]", "]", "(", ")", "{", "}", ":", ",", "|"),
    *("||", "&&", "&", "@", "!", "==", "<", "`1`", '`"x"`', "`[1,2]`", "`null`", "'s'", '"q"', "1", "-1"),
    *("length", "sum", "max_by", "sort_by", "join", "map", "to_string", "to_number", "contains", "avg"),
    *("ceil", "merge", "keys", "not_null", "\\", "`", '"', "'", " ", "-", "\ud800"),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("metadata.rate_limit", 60), ("metadata.rate_limit > `50`", True), ("metadata.missing || `0`", 0)),
        *(("length(metadata.models)", 2), ("length(metadata.models[?@ == 'a'])", 1)),
        *(("metadata.nested.deep[1]", 2), ("max(metadata.nested.deep)", 2)),
        *(("name", "OpenAI"), ('"name"', "OpenAI"), ("join(', ', metadata.models)", "a, b")),
        *((text, None) for text in MISSING),
    ],
)
def test_values(text: str, value: object) -> None:
    """Returns the result of JMESPath, None for a missing value or argument."""
    assert value == compile_expression(text).evaluate(RECORD)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        *((text, RECORD) for text in ("length(metadata.rate_limit)", "sum(metadata.models)", "name < `5`")),
        *((text, RECORD) for text in ("max(metadata.mixed)", "metadata.models[::0]", "contains(name, `5`)")),
        ("metadata.rate_limit > `50` && length(`5`)", RECORD),
        # Not finite, or beyond a float.
        *(("ceil(sum([@, `0.5`]))", number) for number in (float("inf"), float("nan"), 10**400)),
    ],
)
def test_evaluation_error(text: str, record: object) -> None:
    """Raises ValueError for any record that the expression cannot be evaluated for."""
    with pytest.raises(ValueError, match=r"^$"):
        compile_expression(text).evaluate(record)


INVALID = "is not a valid JMESPath expression"
LEN = "calls len(), which is not a function of JMESPath."
TOO_COMPLEX = "is too complex (limit: 32 parts, 8 levels)."
TOO_MANY_COPIES = "builds more than 16 copies of its input."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((text, f"{INVALID} (character 3).") for text in ("a[", "a..b", "a b")),
        *((text, f"{INVALID} (character 1).") for text in ("#", "'open")),
        *((text, f"{INVALID} (character 257).") for text in ("[" * MAX_LENGTH, "(" * MAX_LENGTH)),
        *(("", f"{INVALID}."), ("len(a)", LEN), ("a[?len(@) == `1`]", LEN)),
        ("length(a, b)", "calls length() with 2 arguments instead of 1."),
        ("contains(a)", "calls contains() with 1 arguments instead of 2."),
        ("not_null()", "calls not_null() with 0 arguments instead of 1."),
        ("join(a, b)", "calls join() with a separator that is not a literal string."),
        ("a" * (MAX_LENGTH + 1), "is longer than 256 characters."),
        *((text, TOO_COMPLEX) for text in ("!" * MAX_DEPTH + "a", "a." * MAX_NODES + "a")),
        *((text, TOO_MANY_COPIES) for text in (f"[{'@,' * MAX_COPIES}@]", "[@,@,@].[@,@,@].[@,@]")),
        ("{a: @, b: @}.*.{a: @, b: @, c: @}.*.[@,@,@]", TOO_MANY_COPIES),
        ("@" + ".to_string(@)" * 5, TOO_MANY_COPIES),
    ],
    ids=lambda text: text[:30],
)
def test_rejected(text: str, problem: str) -> None:
    """Rejects an expression that is invalid or too expensive; the reason ends a sentence."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        compile_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a" * MAX_LENGTH, "!" * (MAX_DEPTH - 1) + "a", "a." * (MAX_NODES - 2) + "a"),
        *("[@,@].[@,@].[@,@].[@,@]", "not_null(a, b, c)", "merge(@, @, @)"),
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
