"""Tests of the configuration file of custom metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.metrics.custom import config
from exporter.metrics.custom.config import MAX_LABELS, MAX_METRICS, MAX_TEXT, CustomMetricsVersion, read
from exporter.metrics.custom.expression import compile_expression
from exporter.metrics.custom.file import CustomFile
from exporter.metrics.instruments import INSTRUMENTS
from exporter.model.custom import CustomKind, CustomMetric, ExtractedLabel
from exporter.model.endpoints import Endpoint

GOOD = {"name": "gatewayz_limit", "help": "A limit.", "kind": "gauge", "from": "provider", "path": "limit"}
NAME_RULE = (
    "must be lower-case letters and digits, separated by single underscores, and begin with a letter; "
    "at most 128 characters."
)
NOT_YAML = "the file is not valid YAML (line 2, column 1)."
NOT_A_LIST = "metrics must be a list of metrics; use [] for none."
NO_PATH = "path is not a valid JMESPath expression (character 3)."
NO_WHOLE_NUMBER = "max_values must be a whole number from 1 to 1,000."
NO_MAX_VALUES = "max_values is missing: set how many different values the label may have."
RESERVED = "is reserved, as are names that begin with gatewayz_exporter_, process_, otel_, scrape_."
INVALID_NAMES = (
    *("Upper", "9a", "_a", "a_", "a__b", "a-b", "a.b", "a:b", "ü", "a b"),
    "a" * (config.MAX_NAME + 1),
)
RESERVED_NAMES = ("process_a", "otel_a", "target_info", "target", "up", "scrape_x", "gatewayz_exporter_x")
RESERVED_LABELS = ("provider", "job", "instance", "le", "quantile", "otel_scope_name", "exported_job")
NO_WHOLE_NUMBERS = ("0", "-1", "1001", "1.5", "many", "", "1e3", "010", "1_0", True)
LONG = "x" * (MAX_TEXT + 1)
RESERVED_LABEL = "is reserved: the exporter or Prometheus sets it."

Read = Callable[[str], CustomMetricsVersion]


@pytest.fixture
def read_text(tmp_path: Path) -> Read:
    """Returns a function that reads a file with a text."""

    def write_and_read(text: str) -> CustomMetricsVersion:
        path = tmp_path / "custom-metrics.yaml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return write_and_read


def labelled(name: str = "tier", **keys: Any) -> dict[str, Any]:
    """Return the change that adds a label, by default a valid one."""
    return {"labels": {name: keys or {"path": "a", "max_values": 2}}}


def test_complete_file(read_text: Read) -> None:
    """Reads all keys."""
    definition = read_text("""
metrics:
  - name: gatewayz_limit
    help: A "limit", in requests.
    kind: gauge
    from: provider
    path: limit
    constant_labels: {source: metadata, version: 1}
    labels: {tier: {path: metadata.tier, max_values: 5}, region: {path: metadata.region, max_values: 1000}}
  - {name: traits_info, help: Traits., kind: info, from: stats, labels: {total: {path: total, max_values: 1}}}
""")

    tier, region, total = map(compile_expression, ("metadata.tier", "metadata.region", "total"))
    path = compile_expression("limit")
    text, constant = 'A "limit", in requests.', (("source", "metadata"), ("version", "1"))
    labels = (ExtractedLabel("tier", tier, 5), ExtractedLabel("region", region, 1000))
    limit = CustomMetric("gatewayz_limit", text, CustomKind.GAUGE, Endpoint.PROVIDERS, path, constant, labels)
    totals = (ExtractedLabel("total", total, 1),)
    traits = CustomMetric("traits_info", "Traits.", CustomKind.INFO, Endpoint.STATS, None, (), totals)
    assert ((), (limit, traits)) == (definition.problems, definition.metrics)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("metrics: []", ()),
        *((text, (NOT_A_LIST,)) for text in ("", "metrics:", "metrics: {}", "metrics: text")),
        ("metrics: [\n", (NOT_YAML,)),
    ],
)
def test_no_metrics(read_text: Read, text: str, problems: tuple[str, ...]) -> None:
    """An empty list is valid; a missing list and invalid YAML are problems."""
    assert (problems, ()) == (read_text(text).problems, read_text(text).metrics)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        *(({key: value}, f"{key} is missing.") for key in GOOD for value in (None, "")),
        ({"halp": "x"}, "halp is not known: is help meant?"),
        ({"kind": "counter"}, "kind has 'counter', which is not known: there are gauge, info."),
        ({"from": "model"}, "from has 'model', which is not known: there are provider, stats."),
        ({"kind": ["gauge"]}, "kind must be a string."),
        ({"path": ["a"]}, "path must be a string."),
        ({"path": "a["}, NO_PATH),
        ({"path": "len(a)"}, "path calls len(), which is not a function of JMESPath."),
        ({"help": "Two\nlines."}, f"help must be one line of at most {MAX_TEXT} characters."),
        ({"help": LONG}, f"help must be one line of at most {MAX_TEXT} characters."),
        ({"labels": "tier"}, "labels must be a mapping."),
        ({"labels": {"tier": "path"}}, "labels.tier must be a mapping of path and max_values."),
        (labelled(max_values=1), "labels.tier.path is missing."),
        (labelled(path="a"), f"labels.tier.{NO_MAX_VALUES}"),
        (labelled(path="a", max_values=2, b=1), "labels.tier.b is not known: there are path, max_values."),
        (labelled(path="a.", max_values=2), f"labels.tier.{NO_PATH}"),
        (labelled("Tier"), f"labels.Tier {NAME_RULE}"),
        ({"constant_labels": {"a__b": "x"}}, f"constant_labels.a__b {NAME_RULE}"),
        ({"constant_labels": {"a": ""}}, "constant_labels.a is missing."),
        ({"constant_labels": {"a": ["x"]}}, "constant_labels.a must be a string."),
        ({"constant_labels": {"a": LONG}}, f"constant_labels.a must have at most {MAX_TEXT} characters."),
        ({"constant_labels": {"tier": "x"}, **labelled()}, "labels.tier is also in constant_labels."),
        (
            {"constant_labels": {f"a{number}": "x" for number in range(MAX_LABELS)}, **labelled()},
            f"labels and constant_labels have more than {MAX_LABELS} labels together.",
        ),
        ({"kind": "info", **labelled()}, "path is not allowed: the value of an info metric is always 1."),
        ({"kind": "info", "path": None}, "labels is missing: an info metric has its values in labels."),
        *((labelled(path="a", max_values=n), f"labels.tier.{NO_WHOLE_NUMBER}") for n in NO_WHOLE_NUMBERS),
        *(({"name": name}, f"name {NAME_RULE}") for name in INVALID_NAMES),
        ({"name": "gatewayz_up"}, "name is already in use by a metric of the exporter."),
        *(({"name": name}, f"name {RESERVED}") for name in RESERVED_NAMES),
        *((labelled(name), f"labels.{name} {RESERVED_LABEL}") for name in RESERVED_LABELS),
        *(
            ({"constant_labels": {name: "x"}}, f"constant_labels.{name} {RESERVED_LABEL}")
            for name in RESERVED_LABELS
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_problem(read_text: Read, changes: dict[str, Any], problem: str) -> None:
    """Reports an invalid value with its key."""
    metric = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}

    definition = read_text(json.dumps({"metrics": [metric]}))

    assert [problem] == [re.sub(r"^metric 1( \([^)]+\))?: ", "", found) for found in definition.problems]
    assert () == definition.metrics


def test_names_in_use() -> None:
    """The names of all metrics, families and series of the exporter are in use."""
    series = {
        *(
            "gatewayz_exporter_fetches",
            "gatewayz_exporter_fetches_created",
            "gatewayz_provider_scrape_errors",
        ),
        *(
            f"gatewayz_exporter_fetch_duration_seconds_{ending}"
            for ending in ("bucket", "count", "sum", "created")
        ),
    }

    assert {*series, *(row.name for row in INSTRUMENTS)} <= config.TAKEN


def test_all_problems(read_text: Read) -> None:
    """Reports all problems of all metrics at once, with metric and key."""
    metrics = [
        {**GOOD, "kind": "counter", "path": "a["},
        *("text", {}),
        {**GOOD, "labels": {"job": {"path": "len(a)"}}},
        {**GOOD, "name": "$2b$04$abc"},
    ]
    definition = read_text(json.dumps({"metrics": metrics, "metric": []}))

    assert (
        "metric is not known: is metrics meant?",
        "metric 1 (gatewayz_limit): kind has 'counter', which is not known: there are gauge, info.",
        f"metric 1 (gatewayz_limit): {NO_PATH}",
        "metric 2 must be a mapping.",
        *(f"metric 3: {key} is missing." for key in ("name", "help", "kind", "from", "path")),
        f"metric 4 (gatewayz_limit): labels.job {RESERVED_LABEL}",
        "metric 4 (gatewayz_limit): labels.job.path calls len(), which is not a function of JMESPath.",
        f"metric 4 (gatewayz_limit): labels.job.{NO_MAX_VALUES}",
        "metric 4 (gatewayz_limit): name is also the name of metric 1.",
        f"metric 5: name {NAME_RULE}",
    ) == definition.problems


def test_reload(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A changed file is read for the next poll, and on request; an invalid one is reported."""
    path, changes = tmp_path / "custom.yaml", list[bool]()
    path.write_text("metrics: []")
    file = CustomFile(read(path), changes.append)
    path.write_text(json.dumps({"metrics": [GOOD]}))
    assert ["gatewayz_limit"] == [metric.name for metric in file.newest()]
    path.write_text("metrics: [1]")
    file.reload()

    assert (["Custom metrics not reloaded"], [False]) == (caplog.messages, changes)


def test_number_of_metrics(read_text: Read) -> None:
    """The number of metrics is limited."""
    metrics = [{**GOOD, "name": f"gatewayz_limit_{number}"} for number in range(MAX_METRICS + 1)]
    most, too_many = (read_text(json.dumps({"metrics": some})) for some in (metrics[1:], metrics))

    assert MAX_METRICS == len(most.metrics)
    assert (f"metrics has more than {MAX_METRICS} metrics.",) == too_many.problems
