"""Prometheus' rules: accepted, proved by promtool, explained, and on metrics that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.promql import LOCAL, LOCAL_EXAMPLE, NAME, RECORDED, RULE_FILES, published, rules
from tests.stack.servers import Programs, run
from tests.stack.substitution import ROOT
from tests.verify.docs.pages import blocks

TEST_FILES = sorted((ROOT / "tests/rules").glob("*.yml"))
EXAMPLE = ROOT / "examples" / "custom-metrics.rules.yml"

FOREIGN_METRICS = {
    "up",
    "alertmanager_notifications_failed_total",
    *(f"otelcol_exporter_{what}_log_records" for what in ("enqueue_failed", "send_failed", "sent")),
    *(f"otelcol_exporter_{what}_spans" for what in ("enqueue_failed", "send_failed", "sent")),
    "otelcol_exporter_queue_size",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_rule_group_last_evaluation_timestamp_seconds",
}
"""Metrics of others that rules and runbooks may name: Prometheus' own, Alertmanager's and the collector's."""

WATCHDOG = "GatewayzWatchdog"

QUERY = re.compile(r'(?:query|printf) "((?:[^"\\]|\\.)*)"')
"""A query within a template."""


def unit_tests() -> Iterator[Mapping[str, Any]]:
    """Yield every test of every file."""
    for file in TEST_FILES:
        yield from yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]


ALL_ALERTS = [rule for rule in rules() if "alert" in rule]
ALERTS = {rule["alert"]: rule for rule in reversed(ALL_ALERTS)}
"""The first rule of each name; a second one is for providers that an operator calls critical."""

every_alert = pytest.mark.parametrize("name", ALERTS)
every_rule = pytest.mark.parametrize("rule", ALL_ALERTS, ids=lambda rule: f"{rule['alert']}-{severity(rule)}")


def severity(rule: Mapping[str, Any]) -> str:
    """Return how bad it is."""
    return str(rule["labels"]["severity"])


def test_lint(programs: Programs) -> None:
    """Promtool accepts all rule files and the examples, and its linter finds nothing."""
    files = (*RULE_FILES, LOCAL_EXAMPLE, EXAMPLE)
    code, output = run(programs["promtool"], "check", "rules", "--lint=all", "--lint-fatal", *files)

    assert (0, False) == (code, "error" in output.lower()), output


@pytest.mark.parametrize(
    "file", [*TEST_FILES, ROOT / "tests" / "examples" / EXAMPLE.name], ids=lambda file: file.stem
)
def test_behaviour(programs: Programs, file: Path) -> None:
    """The rules do what the file says."""
    code, output = run(programs["promtool"], "test", "rules", file)

    assert 0 == code, output


def test_every_alert_is_seen_firing() -> None:
    """For each alert some test expects it to fire, with each severity, and another that it does not."""
    cases = [case for test in unit_tests() for case in test.get("alert_rule_test", ())]
    fired = {
        (case["alertname"], alert["exp_labels"]["severity"])
        for case in cases
        for alert in case.get("exp_alerts", ())
    }

    assert {(rule["alert"], severity(rule)) for rule in ALL_ALERTS} == fired
    assert set(ALERTS) - {WATCHDOG} == {case["alertname"] for case in cases if not case.get("exp_alerts")}


def test_every_recording_rule_has_a_value() -> None:
    """For each recorded series some test expects a value, or that it is absent."""
    asked = {case["expr"] for test in unit_tests() for case in test.get("promql_expr_test", ())}

    assert set() == RECORDED - asked


def test_names_are_unique() -> None:
    """No two alerts have the same name and severity; those of one name say the same."""
    keys = [(rule["alert"], severity(rule)) for rule in ALL_ALERTS]

    assert sorted(set(keys)) == sorted(keys)
    for rule in ALL_ALERTS:
        assert ALERTS[rule["alert"]]["annotations"] == rule["annotations"]


@every_rule
def test_fields(rule: Mapping[str, Any]) -> None:
    """An alert has a `for`, a `keep_firing_for` unless it always fires, a severity and a category."""
    optional = set() if rule["alert"] == WATCHDOG else {"keep_firing_for"}

    assert {"alert", "expr", "for", "labels", "annotations"} | optional == set(rule)
    assert {"severity", "category"} == set(rule["labels"])
    assert (severity(rule) == "none") is (rule["alert"] == WATCHDOG)
    assert severity(rule) in {"critical", "warning", "info", "none"}
    assert rule["labels"]["category"] in {"provider", "exporter"}


@every_alert
def test_texts(name: str) -> None:
    """A short name in camel case, a constant summary, values in the description, and the runbook."""
    annotations = ALERTS[name]["annotations"]

    assert re.fullmatch(r"Gatewayz([A-Z][a-z]+)+", name)
    assert len(name) <= 40
    assert {"summary", "description", "runbook_url"} == set(annotations)
    assert re.fullmatch(r"[A-Z][^{}]*\.", annotations["summary"])
    assert "{{" in annotations["description"]
    assert f"docs/runbooks/{name}.md" == annotations["runbook_url"]


@every_alert
def test_runbook(name: str) -> None:
    """The runbook is of the alert's name and has its parts, three commands among them."""
    path = ROOT / "docs/runbooks" / f"{name}.md"
    text = path.read_text(encoding="utf-8")

    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert [f"# {name}", "## Diagnosis", "## Mitigation"] == headings
    (commands,) = blocks(path)
    assert ("sh", 3) == (commands.language, len(commands.lines()))


def test_no_other_runbook() -> None:
    """Every runbook belongs to an alert."""
    assert sorted(ALERTS) == sorted(file.stem for file in (ROOT / "docs/runbooks").glob("*.md"))


@pytest.mark.parametrize("record", sorted(RECORDED | LOCAL))
def test_record_name(record: str) -> None:
    """A recorded series is named level:metric:operation."""
    assert re.fullmatch(r"(job(_(provider|state|count))?|provider|global):gatewayz_[a-z_]+:[a-z0-9]+", record)


def test_metrics_exist() -> None:
    """No rule, no query in its texts or in a runbook names a metric that nobody publishes or records."""
    used: set[str] = set()
    for rule in rules():
        queries = QUERY.findall(rule.get("annotations", {}).get("description", ""))
        used |= {name for query in (rule["expr"], *queries) for name in NAME.findall(query)}
    for file in (ROOT / "docs/runbooks").glob("*.md"):
        queries = re.findall(r"promtool query instant \S+ '(.*)'", file.read_text(encoding="utf-8"))
        used |= {name for query in queries for name in NAME.findall(query)}

    assert set() == used - (published() | RECORDED | LOCAL | FOREIGN_METRICS)
    assert set() == FOREIGN_METRICS - used
