"""Property: for any custom metrics and answers polls continue, and the exposition can be parsed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.gateway.decode import decode
from exporter.metrics.custom.config import read
from exporter.metrics.custom.values import CustomValues
from exporter.model.custom import CustomMetrics, DropReason
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.metrics.custom.metrics import gauge, label
from tests.properties.inside import FEW, inside
from tests.properties.strategies import json_values, near_lists, near_stats, texts, written
from tests.rig import OPENMETRICS, TEXT

pytestmark = pytest.mark.filterwarnings("ignore:deprecated string literal syntax")

FIELDS = ("slug", "name", "id", "is_active", "health_status", "average_response_time_ms", "metadata", "total")
VALID_PATHS = (
    *FIELDS,
    *("@", "*", "keys(@)", "values(@)[0]", "length(@)", "length(metadata)", "sum([total, active])"),
    *("name || slug", "to_number(name)", "to_string(@)"),
)
PATHS = (
    *VALID_PATHS,
    *("max(values(@))", "metadata.*[]", "[::0]", "is_active && id", "`1`", "'x'"),
    *("[", "a..b", "len(a)", "&a", "`NaN`", "sort_by(@, &a)", "map(&to_string(@), values(@))"),
)

paths = st.sampled_from(PATHS) | st.sampled_from(FIELDS) | texts
NAMES = ("gatewayz_a", "gatewayz_b", "c", "gatewayz_up", "process_x", "d_total", "e_info", "f_count")
label_names = st.sampled_from(["tier", "region", "provider", "le", "Bad", "job", "g"])
labels = st.dictionaries(label_names, st.fixed_dictionaries({"path": paths, "max_values": st.integers(0, 3)}))
printable = st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"])
good_helps = st.text(printable, min_size=1, max_size=9) | st.sampled_from(['Say "x".', "A \\n b.", "\\"])

metrics = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "help": good_helps | texts,
        "kind": st.sampled_from(["gauge", "gauge", "info", "counter"]),
        "from": st.sampled_from(["provider", "stats"]),
    },
    optional={
        "path": paths,
        "labels": labels,
        "constant_labels": st.dictionaries(label_names, texts, max_size=2),
    },
)
"""Metrics that are valid, nearly valid and invalid."""
good_labels = st.dictionaries(
    st.sampled_from(["tier", "region"]),
    st.fixed_dictionaries({"path": st.sampled_from(VALID_PATHS), "max_values": st.integers(1, 3)}),
)
gauges = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["gatewayz_a", "b", "c_total", "d_info"]),
        "help": good_helps,
        "kind": st.just("gauge"),
        "from": st.sampled_from(["provider", "stats"]),
        "path": st.sampled_from(VALID_PATHS),
    },
    optional={"labels": good_labels, "constant_labels": st.dictionaries(st.just("g"), texts.filter(bool))},
)
files = st.fixed_dictionaries({"metrics": st.lists(metrics, max_size=3) | json_values})
good_files = st.fixed_dictionaries(
    {"metrics": st.lists(gauges, max_size=3, unique_by=lambda one: one["name"])}
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the path of the configuration file."""
    return tmp_path_factory.mktemp("custom") / "custom-metrics.yaml"


def defined(path: Path, document: object) -> CustomMetrics:
    """Return the metrics of a document, none if it has problems."""
    path.write_text(json.dumps(document), encoding="utf-8")
    definition = read(path)
    for problem in definition.problems:
        assert problem.isprintable()
    return () if definition.problems else definition.metrics


@given(document=files)
def test_any_file(path: Path, document: Mapping[str, Any]) -> None:
    """Reading any file returns metrics or printable problems, and raises nothing."""
    defined(path, document)


@FEW
@given(
    documents=st.lists(good_files | files, min_size=1, max_size=2),
    providers=near_lists,
    stats=near_stats,
    strictly=st.booleans(),
)
def test_poll(
    path: Path, documents: list[Mapping[str, Any]], providers: object, stats: object, strictly: bool
) -> None:
    """A poll ends, and both parsers read the same custom metrics."""
    current = [defined(path, documents[0])]
    with inside(custom=lambda: current[-1]) as polling:
        for document in documents:
            current.append(defined(path, document))
            polling.poll(written(providers, strictly=strictly), written(stats, strictly=strictly))

            exposition = polling.rig.poller.published.current
            text = {family.name: family for family in parse_text(exposition.encode(TEXT).decode())}
            openmetrics = {f.name: f for f in parse_openmetrics(exposition.encode(OPENMETRICS).decode())}
            for metric, series in exposition.snapshot.custom.items():
                # A family without series is not published.
                assert (metric.name in text) is (metric.name in openmetrics) is bool(series.samples)
                if series.samples:
                    assert metric.help == openmetrics[metric.name].documentation
                    assert text[metric.name].samples == openmetrics[metric.name].samples
                    assert len(series.samples) == len(text[metric.name].samples)


@FEW
@given(
    limit=st.integers(1, 3),
    answers=st.lists(st.lists(st.text("abcdef", min_size=1, max_size=1), max_size=8), min_size=1, max_size=5),
)
def test_max_values(limit: int, answers: list[list[str]]) -> None:
    """As many label values have series as `max_values` allows, first those of the previous answer."""
    metric = gauge("v", labels=(label("tier", max_values=limit),))
    values = CustomValues(MovedClock())
    live: set[str] = set()
    for answer in answers:
        rows: list[object] = [
            {"slug": str(number), "v": 1, "tier": tier} for number, tier in enumerate(answer)
        ]
        series = values.read((metric,), Endpoint.PROVIDERS, rows, decode(Endpoint.PROVIDERS, rows))[metric]
        found = [sample.labels["tier"] for sample in series.samples]

        assert min(limit, len(set(answer))) == len(set(found))
        assert live & set(answer) <= set(found)
        assert [tier for tier in answer if tier in found] == found
        assert len(answer) - len(found) == series.dropped.get(DropReason.TOO_MANY_LABEL_VALUES, 0)
        live = set(found)
