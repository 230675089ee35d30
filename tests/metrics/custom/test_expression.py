"""An expression is refused beforehand where it cannot work, and never fails in a new way where it can."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.custom.expression import (
    MAX_COPIES,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NODES,
    Expression,
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
    """Return what is wrong with an expression."""
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
    """An expression finds what JMESPath says that it finds."""
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
def test_nothing_there(text: str) -> None:
    """What is missing or null is nothing, for the functions of JMESPath as well, which refuse it."""
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
def test_record_that_does_not_fit(text: str) -> None:
    """What cannot be evaluated for a record is one kind of error, whatever the reason."""
    with pytest.raises(ValueError, match=r"^$"):
        compile_expression(text).evaluate(RECORD)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400])
def test_numbers_that_no_function_takes(number: float) -> None:
    """Numbers beyond all others end nothing but their own evaluation."""
    with pytest.raises(ValueError, match=r"^$"):
        compile_expression("ceil(sum([@, `0.5`]))").evaluate(number)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no JMESPath expression."),
        ("a[", "is no JMESPath expression from character 3 on."),
        ("a..b", "is no JMESPath expression from character 3 on."),
        ("a b", "is no JMESPath expression from character 3 on."),
        ("#", "is no JMESPath expression from character 1 on."),
        ("'open", "is no JMESPath expression from character 1 on."),
        ("len(a)", "calls len(), which JMESPath does not have."),
        ("a[?len(@) == `1`]", "calls len(), which JMESPath does not have."),
        ("length(a, b)", "calls length() with 2 arguments: it takes 1."),
        ("contains(a)", "calls contains() with 1 arguments: it takes 2."),
        ("not_null()", "calls not_null() with 0 arguments: it takes 1."),
        ("join(a, b)", "calls join() with a separator that is no literal text."),
        ("a" * (MAX_LENGTH + 1), "is longer than 256 characters."),
        ("[" * MAX_LENGTH, "is no JMESPath expression from character 257 on."),
        ("(" * MAX_LENGTH, "is no JMESPath expression from character 257 on."),
        ("!" * MAX_DEPTH + "a", "has more than 32 parts, or more than 8 within each other."),
        ("a." * MAX_NODES + "a", "has more than 32 parts, or more than 8 within each other."),
        (f"[{'@,' * MAX_COPIES}@]", "builds more than 16 copies of what it finds."),
        ("[@,@,@].[@,@,@].[@,@]", "builds more than 16 copies of what it finds."),
        ("{a: @, b: @}.*.{a: @, b: @, c: @}.*.[@,@,@]", "builds more than 16 copies of what it finds."),
        (
            "@.to_string(@).to_string(@).to_string(@).to_string(@).to_string(@)",
            "builds more than 16 copies of what it finds.",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_refused(text: str, told: str) -> None:
    """What cannot work, or may cost too much, is refused beforehand, and the reason ends a sentence."""
    assert told == problem(text)


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
def test_just_allowed(text: str) -> None:
    """The bounds themselves are allowed."""
    assert text == compile_expression(text).text


def test_equal_by_text() -> None:
    """Two expressions of the same text are the same key, and say nothing else of themselves."""
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
    """Whatever the text, it is refused or is an expression; whatever the record, that finds or refuses it."""
    expression: Expression | None = None
    told = ""
    try:
        expression = compile_expression("".join(parts))
        expression.evaluate(record)
    except ValueError as error:
        told = str(error)

    assert (expression is None) is bool(told)


def test_worst_expression_is_bounded() -> None:
    """Even what copies as much as is allowed costs a bounded multiple of the size of the record."""
    record: Any = {"metadata": {f"key{number}": ["x" * 20] * 5 for number in range(100)}}
    expression = compile_expression("[@,@].[@,@].[@,@].to_string(@)")
    text = str(record)

    begun = time.process_time()
    found = expression.evaluate(record)

    assert isinstance(found, str)
    assert len(found) < 2 * MAX_COPIES * len(text)
    assert time.process_time() - begun < 1
