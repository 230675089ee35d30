"""Every query to Loki and Tempo in dashboards, data sources and pages is valid by the language's grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.grafana.dashboards import ALL_QUERIES, FILES, Query, parsed, texts
from tests.stack.grammar import syntax_errors
from tests.stack.substitution import ROOT
from tests.verify.docs import queries as docs
from tests.verify.docs.pages import ALL_BLOCKS

pytestmark = pytest.mark.needs("node", "npm")

LANGUAGES = {"loki": "logql", "tempo": "traceql"}
"""By the type of the data source."""
DATA_SOURCES = ROOT / "grafana" / "provisioning" / "datasources" / "datasources.yaml"
TRACE_BY_ID = re.compile(r"\$\{trace\}")
"""A trace id in place of a query."""
VALUES = {"__tags": 'service="provider-metrics-exporter"', "__trace.traceId": "ab" * 16}
VARIABLE = re.compile(r"\$\{?(\w+(?:\.\w+)*)(?::\w+)?\}?")


def of_data_sources() -> Iterator[Query]:
    """Yield the queries from a trace to log records; in this file every $ is doubled."""
    for source in yaml.safe_load(DATA_SOURCES.read_text(encoding="utf-8"))["datasources"]:
        if to_logs := source["jsonData"].get("tracesToLogsV2"):
            yield Query(f"{DATA_SOURCES.name}: {source['name']}", "loki", to_logs["query"].replace("$$", "$"))


def of_links() -> Iterator[Query]:
    """Yield the queries of links into Explore."""
    for file in FILES:
        for link in [text for text in texts(parsed(file)) if text.startswith("/explore")]:
            for asked in json.loads(parse_qs(urlsplit(link).query)["left"][0])["queries"]:
                text = asked.get("expr", asked["query"])
                yield Query(f"{file}: link", asked["datasource"]["type"], text)


def of_answers() -> Iterator[Query]:
    """Yield the queries that pages show beside what programs answer, since they find nothing here."""
    for block in ALL_BLOCKS:
        if block.language == "text":
            for line in block.lines():
                if line.startswith("{service="):
                    yield Query(block.where, "loki", line)


QUERIES = [
    query
    for query in (*ALL_QUERIES, *docs.ALL_QUERIES, *of_data_sources(), *of_links(), *of_answers())
    if query.source in LANGUAGES and not TRACE_BY_ID.fullmatch(query.text)
]


def as_grafana_asks(text: str) -> str:
    """Return a query with its variables replaced."""
    return VARIABLE.sub(lambda found: VALUES.get(found[1], "x"), text)


def errors(asked: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return what the grammars do not understand in queries, each given as language and text."""
    languages = sorted({language for language, _ in asked})
    texts_of = {language: [text for own, text in asked if own == language] for language in languages}
    found = {language: iter(answers) for language, answers in syntax_errors(texts_of).items()}
    return [
        [text[begin:end] or f"at {begin}" for begin, end in next(found[language])] for language, text in asked
    ]


@pytest.fixture(scope="module")
def errors_of_all() -> Mapping[Query, list[str]]:
    """The errors of every query, by one start of the parser."""
    found = errors([(LANGUAGES[query.source], as_grafana_asks(query.text)) for query in QUERIES])
    return dict(zip(QUERIES, found, strict=True))


def test_every_place_has_queries() -> None:
    """Dashboards, their links, data sources, and both kinds of blocks in pages are all read."""
    places = {
        "dashboards": ALL_QUERIES,
        "links": [*of_links()],
        "data sources": [*of_data_sources()],
        "pages": docs.ALL_QUERIES,
        "answers in pages": [*of_answers()],
    }

    read = {name for name, queries in places.items() if any(query.source in LANGUAGES for query in queries)}
    assert set(places) == read


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_query_is_understood(errors_of_all: Mapping[Query, list[str]], query: Query) -> None:
    """The grammar understands the whole query."""
    assert [] == errors_of_all[query]


def test_mistakes_are_found() -> None:
    """What is no LogQL or TraceQL is found: the parsers themselves recover from every error."""
    mistakes = {
        ("logql", '{service="x"} | json | providers_total >'): "at 40",
        ("logql", '{service="x" | json'): "at 13",
        ("logql", '{service="x"} | jsn'): "at 19",
        ("logql", ""): "at 0",
        ("traceql", "{ name = "): "at 9",
        ("traceql", '{ name = "poll" } >> { name = "GET" && }'): "at 39",
    }

    assert list(mistakes.values()) == [first for first, *_ in errors([*mistakes])]
