"""JMESPath expressions with limited cost: validated when compiled, with one kind of error when evaluated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import jmespath
from jmespath.exceptions import JMESPathTypeError, ParseError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult

MAX_LENGTH = 256
MAX_NODES = 32
MAX_DEPTH = 8
"""Of the syntax tree of an expression."""
MAX_COPIES = 16
"""Of its input that an expression may build: each list, object or string can multiply them.

The limit makes the cost of an expression proportional to the size of the record."""
MISSING_TYPES = frozenset({"null", "NoneType"})
"""JMESPath's type names for a function argument that is null, or has an element that is null."""

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; expressions with the same text are equal."""

    text: str
    parsed: ParsedResult = field(repr=False, compare=False)

    def evaluate(self, record: object) -> object:
        """Return the result for a JSON value, None if there is none.

        Raises:
            ValueError: When the expression cannot be evaluated for this record.
        """
        try:
            return self.parsed.search(record)
        except JMESPathTypeError as error:
            if error.actual_type in MISSING_TYPES:
                return None
            raise ValueError from error
        # JMESPath may raise any exception for an unexpected record. None of them may end a poll.
        except Exception as error:
            raise ValueError from error


def compile_expression(text: str) -> Expression:
    """Compile an expression.

    Raises:
        ValueError: With the problem, as the end of a sentence.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters.")
    try:
        parsed = jmespath.compile(text)
    except ParseError as error:
        raise ValueError(
            f"is not a valid JMESPath expression (character {error.lex_position + 1})."
        ) from error
    # JMESPath's other errors are ValueErrors. Its parser also raises the rest for some invalid texts.
    except (ValueError, LookupError, RecursionError) as error:
        raise ValueError("is not a valid JMESPath expression.") from error
    nodes = list(_nodes(cast("Node", parsed.parsed), 1))
    if len(nodes) > MAX_NODES or any(depth > MAX_DEPTH for _, depth in nodes):
        raise ValueError(f"is too complex (limit: {MAX_NODES} parts, {MAX_DEPTH} levels).")
    for node, _ in nodes:
        if node["type"] == "function_expression":
            _check_call(node["value"], node["children"])
    if math.prod(_copies(node) for node, _ in nodes) > MAX_COPIES:
        raise ValueError(f"builds more than {MAX_COPIES} copies of its input.")
    return Expression(text, parsed)


def _nodes(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    """Yield all nodes of a tree with their depth."""
    yield node, depth
    for child in node["children"]:
        # The children of a slice are numbers.
        if isinstance(child, dict):
            yield from _nodes(child, depth + 1)


def _copies(node: Node) -> int:
    """Return how many copies of its input a node can build."""
    if node["type"] in ("multi_select_list", "multi_select_dict"):
        return len(node["children"])
    # Nested escaping doubles the quotes.
    return 2 if (node["type"], node.get("value")) == ("function_expression", "to_string") else 1


def _check_call(name: str, arguments: Sequence[Node]) -> None:
    """Check a call, which JMESPath does only at evaluation, and reject quadratic cost."""
    function = Functions.FUNCTION_TABLE.get(name)
    if function is None:
        raise ValueError(f"calls {name}(), which is not a function of JMESPath.")
    signature = function["signature"]
    count, wanted = len(arguments), len(signature)
    if count < wanted or (count > wanted and not signature[-1].get("variadic")):
        raise ValueError(f"calls {name}() with {count} arguments instead of {wanted}.")
    if name == "join" and arguments[0]["type"] != "literal":
        raise ValueError("calls join() with a separator that is not a literal string.")
