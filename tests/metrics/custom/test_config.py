"""Tests of the configuration file of custom metrics."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics.custom.config import (
    MAX_LABELS,
    MAX_METRICS,
    MAX_NAME,
    MAX_TEXT,
    TAKEN,
    Definition,
    read,
)
from exporter.metrics.custom.expression import compile_expression
from exporter.metrics.instruments import INSTRUMENTS
from exporter.model.custom import CustomKind, CustomMetric, ExtractedLabel
from exporter.model.endpoints import Endpoint

GOOD: Mapping[str, Any] = {
    "name": "gatewayz_limit",
    "help": "A limit.",
    "kind": "gauge",
    "from": "provider",
    "path": "metadata.rate_limit",
}
NAME_RULE = (
    "must be lower-case letters and digits, separated by single underscores, and begin with a letter; "
    "at most 128 characters."
)

Read = Callable[[str], Definition]


@pytest.fixture
def read_text(tmp_path: Path) -> Read:
    """Returns a function that reads a file with a text."""

    def write_and_read(text: str) -> Definition:
        path = tmp_path / "custom-metrics.yaml"
        path.write_text(text, encoding="utf-8")
        return read(path)

    return write_and_read


@pytest.fixture
def problems(read_text: Read) -> Callable[..., list[str]]:
    """Returns a function that reads a valid metric with changed keys; None removes a key."""

    def read_changed(**changes: Any) -> list[str]:
        item = {key.rstrip("_"): value for key, value in {**GOOD, **changes}.items() if value is not None}
        definition = read_text(json.dumps({"metrics": [item]}))
        assert bool(definition.problems) is not bool(definition.metrics)
        name = item.get("name", "")
        before = "metric 1 (gatewayz_limit): " if name == GOOD["name"] else "metric 1"
        return [problem.removeprefix(before) for problem in definition.problems]

    return read_changed


def test_complete_file(read_text: Read) -> None:
    """Reads all keys."""
    definition = read_text("""
metrics:
  - name: gatewayz_limit
    help: A "limit", in requests.
    kind: gauge
    from: provider
    path: metadata.rate_limit
    constant_labels: {source: metadata, version: 1}
    labels:
      tier: {path: metadata.tier, max_values: 5}
      priority:
        path: metadata.priority
        max_values: 1000
  - {name: traits_info, help: Traits., kind: info, from: stats, labels: {total: {path: total, max_values: 1}}}
""")

    limit = CustomMetric(
        "gatewayz_limit",
        'A "limit", in requests.',
        CustomKind.GAUGE,
        Endpoint.PROVIDERS,
        compile_expression("metadata.rate_limit"),
        (("source", "metadata"), ("version", "1")),
        (
            ExtractedLabel("tier", compile_expression("metadata.tier"), 5),
            ExtractedLabel("priority", compile_expression("metadata.priority"), 1000),
        ),
    )
    total = (ExtractedLabel("total", compile_expression("total"), 1),)
    traits = CustomMetric("traits_info", "Traits.", CustomKind.INFO, Endpoint.STATS, None, (), total)
    assert ((), (limit, traits)) == (definition.problems, definition.metrics)


def test_no_metrics(read_text: Read) -> None:
    """An empty list is valid; a missing list is a problem."""
    assert ((), ()) == (read_text("metrics: []").problems, read_text("metrics: []").metrics)
    for text in ("", "metrics:", "metrics: {}", "metrics: text"):
        assert ("metrics must be a list of metrics; use [] for none.",) == read_text(text).problems


def test_broken_file(read_text: Read, tmp_path: Path) -> None:
    """Reports invalid YAML with its position, and a missing file."""
    assert ("the file is not valid YAML (line 2, column 1).",) == read_text("metrics: [\n").problems
    assert ("line 2: a key is not a string, or is there twice.",) == read_text(
        "metrics: []\nmetrics: []"
    ).problems
    assert ("the file cannot be read: No such file or directory.",) == read(tmp_path / "none").problems


@pytest.mark.parametrize("key", ["name", "help", "kind", "from", "path"])
def test_missing(problems: Callable[..., list[str]], key: str) -> None:
    """Reports missing and empty required keys."""
    expected = ": name is missing." if key == "name" else f"{key} is missing."

    assert [expected] == problems(**{key: None})
    assert [expected] == problems(**{key: ""})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"halp": "x"}, "halp is not known: is help meant?"),
        ({"kind": "counter"}, "kind has 'counter', which is not known: there are gauge, info."),
        ({"from": "model"}, "from has 'model', which is not known: there are provider, stats."),
        ({"kind": ["gauge"]}, "kind must be a string."),
        ({"path": ["a"]}, "path must be a string."),
        ({"path": "a["}, "path is not a valid JMESPath expression (character 3)."),
        ({"path": "len(a)"}, "path calls len(), which is not a function of JMESPath."),
        ({"help": "Two\nlines."}, f"help must be one line of at most {MAX_TEXT} characters."),
        ({"help": "x" * (MAX_TEXT + 1)}, f"help must be one line of at most {MAX_TEXT} characters."),
        ({"labels": "tier"}, "labels must be a mapping."),
        ({"labels": {"tier": "path"}}, "labels.tier must be a mapping of path and max_values."),
        ({"labels": {"tier": {"max_values": 1}}}, "labels.tier.path is missing."),
        (
            {"labels": {"tier": {"path": "a"}}},
            "labels.tier.max_values is missing: set how many different values the label may have.",
        ),
        ({"labels": {"tier": {"path": "a", "max": 1, "max_values": 2}}}, "labels.tier.max is not known"),
        (
            {"labels": {"tier": {"path": "a.", "max_values": 2}}},
            "labels.tier.path is not a valid JMESPath expression",
        ),
        ({"labels": {"Tier": {"path": "a", "max_values": 2}}}, f"labels.Tier {NAME_RULE}"),
        ({"constant_labels": {"a__b": "x"}}, f"constant_labels.a__b {NAME_RULE}"),
        ({"constant_labels": {"a": ""}}, "constant_labels.a is missing."),
        ({"constant_labels": {"a": ["x"]}}, "constant_labels.a must be a string."),
        (
            {"constant_labels": {"a": "x" * (MAX_TEXT + 1)}},
            f"constant_labels.a must have at most {MAX_TEXT} characters.",
        ),
        (
            {"constant_labels": {"tier": "x"}, "labels": {"tier": {"path": "a", "max_values": 2}}},
            "labels.tier is also in constant_labels.",
        ),
        (
            {"constant_labels": {f"a{number}": "x" for number in range(MAX_LABELS + 1)}},
            f"labels and constant_labels have more than {MAX_LABELS} labels together.",
        ),
        ({"kind": "info"}, "path is not allowed: the value of an info metric is always 1."),
        ({"kind": "info", "path": None}, "labels is missing: an info metric has its values in labels."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_problem(problems: Callable[..., list[str]], changes: dict[str, Any], problem: str) -> None:
    """Reports an invalid value with its key."""
    assert problem in " ".join(problems(**changes))


@pytest.mark.parametrize("number", ["0", "-1", "1001", "1.5", "many", "", "1e3", "010", "1_0", True])
def test_invalid_max_values(problems: Callable[..., list[str]], number: object) -> None:
    """`max_values` is a whole number from 1 to 1,000."""
    labels = {"tier": {"path": "a", "max_values": number}}

    assert ["labels.tier.max_values must be a whole number from 1 to 1,000."] == problems(labels=labels)


@pytest.mark.parametrize(
    "name", ["Upper", "9a", "_a", "a_", "a__b", "a-b", "a.b", "a:b", "ü", "a b", "a" * (MAX_NAME + 1)]
)
def test_invalid_name(problems: Callable[..., list[str]], name: str) -> None:
    """A name that OpenTelemetry or Prometheus would change is a problem."""
    assert NAME_RULE in " ".join(problems(name=name))


def test_names_of_the_exporter(problems: Callable[..., list[str]]) -> None:
    """A name of a metric, family or series of the exporter is a problem."""
    series = {
        "gatewayz_exporter_fetches",
        "gatewayz_exporter_fetches_created",
        "gatewayz_exporter_fetch_duration_seconds_bucket",
        "gatewayz_exporter_fetch_duration_seconds_count",
        "gatewayz_provider_scrape_errors",
    }

    assert {*series, *(row.name for row in INSTRUMENTS)} <= TAKEN
    assert [": name is already in use by a metric of the exporter."] == [
        problem.removeprefix(" (gatewayz_up)") for problem in problems(name="gatewayz_up")
    ]


@pytest.mark.parametrize(
    "name",
    ["process_open_fds", "otel_scope_info", "target_info", "target", "up", "scrape_x", "gatewayz_exporter_x"],
)
def test_reserved_names(problems: Callable[..., list[str]], name: str) -> None:
    """Names of libraries and of Prometheus, and the prefix of the exporter, are reserved."""
    (problem,) = problems(name=name)

    assert (
        "is reserved, as are names that begin with gatewayz_exporter_, process_, otel_, scrape_." in problem
    )


@pytest.mark.parametrize(
    "name", ["provider", "job", "instance", "le", "quantile", "otel_scope_name", "exported_job"]
)
@pytest.mark.parametrize("kind", ["labels", "constant_labels"])
def test_reserved_labels(problems: Callable[..., list[str]], kind: str, name: str) -> None:
    """Labels set by the exporter or Prometheus are reserved."""
    content = {"path": "a", "max_values": 1} if kind == "labels" else "x"

    assert [f"{kind}.{name} is reserved: the exporter or Prometheus sets it."] == problems(
        **{kind: {name: content}}
    )


def test_all_problems(read_text: Read) -> None:
    """Reports all problems of all metrics at once, with metric and key."""
    definition = read_text(
        yaml.safe_dump(
            {
                "metrics": [
                    {**GOOD, "kind": "counter", "path": "a["},
                    "text",
                    {},
                    {**GOOD, "labels": {"job": {"path": "len(a)"}}},
                    {**GOOD, "name": "$2b$04$abc"},
                ],
                "metric": [],
            }
        )
    )

    assert (
        "metric is not known: there are metrics.",
        "metric 1 (gatewayz_limit): kind has 'counter', which is not known: there are gauge, info.",
        "metric 1 (gatewayz_limit): path is not a valid JMESPath expression (character 3).",
        "metric 2 must be a mapping.",
        "metric 3: name is missing.",
        "metric 3: help is missing.",
        "metric 3: kind is missing.",
        "metric 3: from is missing.",
        "metric 3: path is missing.",
        "metric 4 (gatewayz_limit): labels.job is reserved: the exporter or Prometheus sets it.",
        "metric 4 (gatewayz_limit): labels.job.path calls len(), which is not a function of JMESPath.",
        "metric 4 (gatewayz_limit): labels.job.max_values is missing: set how many different values the "
        "label may have.",
        "metric 4 (gatewayz_limit): name is also the name of metric 1.",
        f"metric 5: name {NAME_RULE}",
    ) == tuple(problem.replace("is metrics meant?", "there are metrics.") for problem in definition.problems)


def test_number_of_metrics(read_text: Read) -> None:
    """The number of metrics is limited."""
    metrics = [{**GOOD, "name": f"gatewayz_limit_{number}"} for number in range(MAX_METRICS + 1)]

    assert MAX_METRICS == len(read_text(json.dumps({"metrics": metrics[1:]})).metrics)
    assert (f"metrics has more than {MAX_METRICS} metrics.",) == read_text(
        json.dumps({"metrics": metrics})
    ).problems


def test_outdated(read_text: Read) -> None:
    """A definition is outdated once its file has changed or disappeared."""
    definition = read_text("metrics: []")
    assert not definition.is_outdated

    os.utime(definition.path, ns=(1, 1))
    assert definition.is_outdated

    definition = read(definition.path)
    assert not definition.is_outdated
    definition.path.unlink()
    assert definition.is_outdated
