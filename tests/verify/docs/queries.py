"""The queries of the documentation."""

from __future__ import annotations

from tests.grafana.dashboards import Query
from tests.verify.docs.pages import ALL_BLOCKS

SOURCES = {"promql": "prometheus", "logql": "loki", "traceql": "tempo"}
"""Type of the data source by the language of a block."""

ALL_QUERIES = [
    Query(f"{block.where} {number}", SOURCES[block.language], text, is_instant=True)
    for block in ALL_BLOCKS
    if block.language in SOURCES
    for number, text in enumerate(block.paragraphs(), 1)
]
"""Queries in code blocks; for those in sentences only names are checked."""


def of(source: str) -> list[Query]:
    """Return the queries to a type of data source."""
    return [query for query in ALL_QUERIES if query.source == source]
