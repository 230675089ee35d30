"""A JMESPath expression that a person wrote: checked and bounded first, and evaluated without surprises."""

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
"""Of the tree that an expression is parsed to."""
MAX_COPIES = 16
"""Of what it handles: every list, object or text that it builds may hold what was there as many times again.

With this, what an expression costs goes with the size of the record; it takes very little to grow beyond."""
NOTHING_THERE = frozenset({"null", "NoneType"})
"""How JMESPath calls the argument of a function that is missing, itself or as an element."""

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that can be evaluated; two of the same text are equal."""

    text: str
    parsed: ParsedResult = field(repr=False, compare=False)

    def evaluate(self, record: object) -> object:
        """Return what the expression finds in a JSON value, None where there is nothing.

        Raises:
            ValueError: When it cannot be evaluated for this record.
        """
        try:
            return self.parsed.search(record)
        except JMESPathTypeError as error:
            if error.actual_type in NOTHING_THERE:
                return None
            raise ValueError from error
        # Any record meets any expression here, in code that is not ours: none of them may end a poll.
        except Exception as error:
            raise ValueError from error


def compile_expression(text: str) -> Expression:
    """Return the expression that a text is.

    Raises:
        ValueError: With what is wrong, as the end of a sentence.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters.")
    try:
        parsed = jmespath.compile(text)
    except ParseError as error:
        raise ValueError(f"is no JMESPath expression from character {error.lex_position + 1} on.") from error
    # Its other errors are ValueErrors, too; the rest is for texts that the parser has not thought of.
    except (ValueError, LookupError, RecursionError) as error:
        raise ValueError("is no JMESPath expression.") from error
    nodes = list(_nodes(cast("Node", parsed.parsed), 1))
    if len(nodes) > MAX_NODES or any(depth > MAX_DEPTH for _, depth in nodes):
        raise ValueError(f"has more than {MAX_NODES} parts, or more than {MAX_DEPTH} within each other.")
    for node, _ in nodes:
        if node["type"] == "function_expression":
            _check_call(node["value"], node["children"])
    if math.prod(_copies(node) for node, _ in nodes) > MAX_COPIES:
        raise ValueError(f"builds more than {MAX_COPIES} copies of what it finds.")
    return Expression(text, parsed)


def _nodes(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    """Yield every node of a tree with its depth."""
    yield node, depth
    for child in node["children"]:
        # A slice has numbers there.
        if isinstance(child, dict):
            yield from _nodes(child, depth + 1)


def _copies(node: Node) -> int:
    """Return how many times what a node builds may hold what is there before."""
    if node["type"] in ("multi_select_list", "multi_select_dict"):
        return len(node["children"])
    # Quotes within quotes are written with twice the signs.
    return 2 if (node["type"], node.get("value")) == ("function_expression", "to_string") else 1


def _check_call(name: str, arguments: Sequence[Node]) -> None:
    """Find what JMESPath itself finds only when it evaluates, and what grows with the square of a record."""
    function = Functions.FUNCTION_TABLE.get(name)
    if function is None:
        raise ValueError(f"calls {name}(), which JMESPath does not have.")
    signature = function["signature"]
    count, wanted = len(arguments), len(signature)
    if count < wanted or (count > wanted and not signature[-1].get("variadic")):
        raise ValueError(f"calls {name}() with {count} arguments: it takes {wanted}.")
    if name == "join" and arguments[0]["type"] != "literal":
        raise ValueError("calls join() with a separator that is no literal text.")
