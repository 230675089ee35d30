"""Queries use existing metrics and spans. `make stack` runs them on the real servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from exporter.metrics.instruments import INSTRUMENTS
from tests.promql import LOCAL, NAME, RECORDED, published
from tests.rig import Rig
from tests.verify.docs.pages import FENCE, name, pages
from tests.verify.docs.queries import of

EXAMPLE = Path(__file__).parents[3] / "examples" / "custom-metrics.yaml"
CUSTOM = frozenset(metric["name"] for metric in yaml.safe_load(EXAMPLE.read_text("utf-8"))["metrics"])
"""Custom metrics of the exporter in `make stack`."""
SPAN_ATTRIBUTE = re.compile(r"\bspan\.([a-z_.]+)")
SPAN_NAME = re.compile(r'(?<![.\w])name ?=~? ?"([^"]+)"')
OWN = re.compile(r"\bgatewayz_\w*[a-z0-9]\b(?!_)")
"""A complete metric name of the project."""


def test_examples_exist() -> None:
    """Each query language has examples."""
    assert all(of(source) for source in ("prometheus", "loki", "tempo"))


def test_metrics_exist() -> None:
    """Every metric in a query is exported or recorded."""
    foreign = re.compile(r"(?:up|ALERTS|(?:otelcol|alertmanager|target|scrape|process)_\w+)")
    used = {found for query in of("prometheus") for found in NAME.findall(query.text)}

    unknown = used - published() - RECORDED - CUSTOM
    assert set() == {found for found in unknown if not foreign.fullmatch(found)}


@pytest.mark.parametrize("page", pages(), ids=name)
def test_metrics_in_sentences_exist(page: Path) -> None:
    """Every metric of the project that a page names exists, except in blocks of program output."""
    text = FENCE.sub(lambda found: "" if found[2] == "text" else found[0], page.read_text(encoding="utf-8"))
    parts = {part for recorded in RECORDED | LOCAL for part in recorded.split(":")}
    # In OTLP a counter has no `_total`.
    known = published() | CUSTOM | parts | {row.name.removesuffix("_total") for row in INSTRUMENTS}

    assert set() == set(OWN.findall(text)) - known


def test_spans_exist(running: Rig) -> None:
    """TraceQL uses spans and attributes of a real poll."""
    running.poller.poll_once()
    spans = running.spans()
    names = {span.name for span in spans} | {"GET /metrics"}
    attributes = {key for span in spans for key in span.attributes or ()} | {"error.type"}

    for query in of("tempo"):
        assert set(SPAN_ATTRIBUTE.findall(query.text)) <= attributes
        for pattern in SPAN_NAME.findall(query.text):
            assert any(re.fullmatch(pattern, found) for found in names), pattern
