"""The examples can be used as they stand, and docs/custom-metrics.md shows what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.settings import Settings
from exporter.metrics.custom.config import KEYS, KINDS, SOURCES, read
from exporter.model.custom import DropReason
from tests.clocks import MovedClock
from tests.process import run_program
from tests.promql import NAME, published
from tests.replay import LIST, ReplayGateway, answer, recorded_body
from tests.rig import Rig, rig
from tests.verify.docs.pages import code_blocks

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "custom-metrics.yaml"
RULES = ROOT / "examples" / "custom-metrics.rules.yml"
PAGE = "docs/custom-metrics.md"


@pytest.fixture
def with_example(settings_for: Callable[..., Settings], clock: MovedClock) -> Iterator[Rig]:
    """An exporter with the metrics of the example, before its first poll."""
    definition = read(EXAMPLE)
    assert () == definition.problems
    with rig(settings_for(), clock, custom=lambda: definition.metrics) as running:
        yield running


def test_example_with_the_recorded_gateway(with_example: Rig) -> None:
    """Of the recorded metadata come all metrics whose values are in there, and nothing is left out."""
    with_example.poller.poll_once()

    counts = {name: len(with_example.series(name)) for name in defined_names()}
    assert {
        "gatewayz_provider_rate_limit": 0,
        "gatewayz_provider_supported_models": 0,
        "gatewayz_provider_expected_models": 30,
        "gatewayz_provider_timeout_seconds": 33,
        "gatewayz_provider_traits_info": 33,
        "gatewayz_providers_impaired": 1,
    } == counts
    assert 30 == with_example.value("gatewayz_provider_timeout_seconds", provider="anthropic")
    assert 3 == with_example.value("gatewayz_provider_expected_models", provider="anthropic")
    assert 1 == with_example.value(
        "gatewayz_provider_traits_info", provider="anthropic", priority="fast", pricing_format="per_1m"
    )
    assert 11 == with_example.value("gatewayz_providers_impaired")
    assert {0.0} == set(with_example.series("gatewayz_exporter_custom_values_dropped").values())


def test_example_with_richer_metadata(with_example: Rig, gateway: ReplayGateway) -> None:
    """Where the gateway's metadata have a limit and models, they are metrics; elsewhere they are absent."""
    rows = json.loads(recorded_body("04-list-include-inactive.http"))
    rows[0]["metadata"] |= {"rate_limit": 600, "supported_models": ["a", "b", "c"]}
    gateway.answers[LIST] = answer(200, json.dumps(rows).encode())

    with_example.poller.poll_once()

    slug = (("provider", rows[0]["slug"]),)
    assert {slug: 600} == with_example.series("gatewayz_provider_rate_limit")
    assert {slug: 3} == with_example.series("gatewayz_provider_supported_models")


def test_check_shows_the_example(gateway: ReplayGateway) -> None:
    """`check` tells of each custom metric how many series it has, and shows the first."""
    variables = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": "k", "CUSTOM_METRICS_FILE": str(EXAMPLE)}
    table = run_program("check", **variables).stdout.rpartition("\n\n")[2]
    document = json.loads(run_program("check", "--json", **variables).stdout)

    golden = ROOT / "tests" / "golden" / "check-custom.txt"
    assert golden.read_text(encoding="utf-8") == table
    assert defined_names() == [metric["name"] for metric in document["custom_metrics"]]
    traits = document["custom_metrics"][4]
    assert ("info", "providers", 33, {}) == (
        traits["kind"],
        traits["endpoint"],
        len(traits["series"]),
        traits["dropped"],
    )
    assert 1 == traits["series"][0]["value"]


# The page


def defined_names() -> list[str]:
    """Return the names of the example's metrics."""
    return [metric["name"] for metric in yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["metrics"]]


def test_page_shows_the_example(tmp_path: Path) -> None:
    """The files on the page are those in examples/, but for comments."""
    example, rules = map(yaml.safe_load, code_blocks(PAGE, "yaml"))

    assert yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")) == example
    assert yaml.safe_load(RULES.read_text(encoding="utf-8")) == rules


def test_page_names_every_key_and_reason() -> None:
    """Every key, kind, source and reason is explained."""
    for word in (*KEYS, "max_values", *KINDS, *SOURCES, *DropReason):
        assert f"`{word}`" in (ROOT / PAGE).read_text(encoding="utf-8")


def queries() -> Iterator[str]:
    """Yield every query of the page and of the rules."""
    rules: Any = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])
    yield from code_blocks(PAGE, "promql")


@pytest.mark.parametrize("query", list(queries()))
def test_queries_name_what_exists(query: str) -> None:
    """Queries use metrics of the exporter and of the example alone."""
    used = set(NAME.findall(query))

    assert used
    assert set() == used - published() - set(defined_names())


def test_panel() -> None:
    """The panel is JSON that asks for a query on the page."""
    (panel,) = map(json.loads, code_blocks(PAGE, "json"))

    assert "bargauge" == panel["type"]
    assert [code_blocks(PAGE, "promql")[0].strip()] == [target["expr"] for target in panel["targets"]]
    assert {"instant"} <= set(panel["targets"][0])
