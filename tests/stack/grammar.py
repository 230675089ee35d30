"""Syntax errors in LogQL and TraceQL, by the grammars of Grafana's own query editors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack import npm

SOURCE = Path(__file__).parent / "grammars"

Span = tuple[int, int]
"""Where an error begins and ends in a query, in characters."""


def syntax_errors(queries: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[Sequence[Span]]]:
    """Return the errors in each query.

    Args:
        queries: By language: `logql` or `traceql`.

    Raises:
        RuntimeError: When npm cannot install the grammars, or the parser fails; the text has the output.
    """
    output = npm.run(npm.installed(SOURCE), "node", "parse.mjs", standard_input=json.dumps(queries))
    errors: dict[str, list[list[list[int]]]] = json.loads(output)
    return {
        language: [[(begin, end) for begin, end in found] for found in answers]
        for language, answers in errors.items()
    }
