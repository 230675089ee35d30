"""The examples work unchanged, and docs/custom-metrics.md has their content."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from exporter.config.settings import Settings
from exporter.metrics.custom.config import KEYS, KINDS, SOURCES, read
from exporter.model.custom import DropReason
from tests.clocks import MovedClock
from tests.process import run_program
from tests.promql import NAME, published
from tests.replay import LIST, ReplayGateway, answer, recorded_body
from tests.rig import rig
from tests.verify.docs.pages import code_blocks

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "custom-metrics.yaml"
METRICS: Any = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
NAMES = [metric["name"] for metric in METRICS["metrics"]]
RULES: Any = yaml.safe_load((ROOT / "examples" / "custom-metrics.rules.yml").read_text(encoding="utf-8"))
PAGE = "docs/custom-metrics.md"


def test_richer_metadata(settings_for: Callable[..., Settings], gateway: ReplayGateway) -> None:
    """A limit and models in the gateway's metadata are published; without them there is no series."""
    rows = json.loads(recorded_body("04-list-include-inactive.http"))
    rows[0]["metadata"] |= {"rate_limit": 600, "supported_models": ["a", "b", "c"]}
    gateway.answers[LIST] = answer(200, json.dumps(rows).encode())
    definition = read(EXAMPLE)

    assert () == definition.problems
    with rig(settings_for(), MovedClock(), custom=lambda: definition.metrics) as running:
        running.poller.poll_once()
        slug = (("provider", rows[0]["slug"]),)
        assert {slug: 600} == running.series("gatewayz_provider_rate_limit")
        assert {slug: 3} == running.series("gatewayz_provider_supported_models")


def test_check_shows_the_example(gateway: ReplayGateway) -> None:
    """`check` prints the number of series of each custom metric, and the first one."""
    gateway.check_health()
    variables = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": "k", "CUSTOM_METRICS_FILE": str(EXAMPLE)}
    table = run_program("check", **variables).stdout.rpartition("\n\n")[2]
    document = json.loads(run_program("check", "--json", **variables).stdout)

    assert (ROOT / "tests" / "golden" / "check-custom.txt").read_text(encoding="utf-8") == table
    assert NAMES == [metric["name"] for metric in document["custom_metrics"]]
    traits = document["custom_metrics"][4]
    assert ("info", "providers", {}) == (traits["kind"], traits["endpoint"], traits["dropped"])
    assert (33, 1) == (len(traits["series"]), traits["series"][0]["value"])


def test_page_shows_the_example() -> None:
    """The files on the page are those in examples/, without comments."""
    assert [METRICS, RULES] == [yaml.safe_load(block) for block in code_blocks(PAGE, "yaml")]


def test_page_names_every_key_and_reason() -> None:
    """Every key, kind, source and reason is explained."""
    for word in (*KEYS, "max_values", *KINDS, *SOURCES, *DropReason):
        assert f"`{word}`" in (ROOT / PAGE).read_text(encoding="utf-8")


def test_metrics_of_rules_exist() -> None:
    """The rules use only metrics of the exporter and of the example."""
    for rule in (rule for group in RULES["groups"] for rule in group["rules"]):
        used = set(NAME.findall(rule["expr"]))

        assert used
        assert set() == used - published() - set(NAMES)


def test_panel() -> None:
    """The panel is JSON with a query of the page."""
    (panel,) = map(json.loads, code_blocks(PAGE, "json"))

    assert "bargauge" == panel["type"]
    assert [code_blocks(PAGE, "promql")[0].strip()] == [target["expr"] for target in panel["targets"]]
    assert {"instant"} <= set(panel["targets"][0])
