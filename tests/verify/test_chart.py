"""The Helm chart's files, among each other and beside the project's: what can be said without helm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import SERVICE_NAME, __version__
from exporter.config.settings import VARIABLES
from tests.promql import RULE_FILES

ROOT = Path(__file__).parents[2]
HELM = ROOT / "deploy/helm"
CHART = HELM / SERVICE_NAME
COPIES = {"rules": ROOT / "prometheus/rules", "dashboards": ROOT / "grafana/dashboards"}
"""Folders below the chart's files/, and what they are copied from."""

ELSEWHERE = {
    "ADMIN_KEY": "adminKey",
    "ADMIN_KEY_FILE": "adminKey",
    "METRICS_PORT": "the port of the Service",
    "METRICS_HOST": "the pod's own addresses are right",
    "WEB_CONFIG_FILE": "webConfig",
    "CUSTOM_METRICS_FILE": "extraEnv, with a volume",
}
"""Settings of the exporter that are no `settings` of the chart, and where they come from."""
OPENTELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"}

Tree = Mapping[str, Any]


def load(path: Path) -> Any:
    """Return what a YAML or JSON file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


VALUES: Tree = load(CHART / "values.yaml")
SCHEMA: Tree = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def comments() -> Mapping[str, str]:
    """Return the comment above each key of values.yaml, by the key's path."""
    found: dict[str, str] = {}
    path: list[str] = []
    above: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("# "):
            above.append(text[2:])
            continue
        if key := re.match(r"( *)([A-Za-z_]+):", line):
            path[len(key[1]) // 2 :] = [key[2]]
            if above:
                found[".".join(path)] = " ".join(above)
        above = []
    return found


def described(schema: Tree, values: Tree, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield path, description and default of every value; a group of values has none."""
    for name, part in schema["properties"].items():
        if name == "global":
            continue
        path, default = f"{prefix}{name}", values[name]
        if "properties" in part:
            yield path, part["description"], None
            yield from described(part, default, f"{path}.")
        else:
            yield path, part["description"], default


def objects(schema: Any) -> Iterator[Tree]:
    """Yield every part of the schema that has properties of its own."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for part in schema.values():
            yield from objects(part)


def paths(values: Tree, prefix: str = "") -> Iterator[str]:
    """Yield the path of every value that is set, of groups and free maps as well."""
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{name}.")


def row(path: str, meaning: str, default: Any) -> str:
    """Return the value's row in the README."""
    text = json.dumps(default) if default not in (None, "") else ""
    return f"| `{path}` | {f'`{text}`' if text else ''} | {meaning} |"


@pytest.mark.parametrize("folder", COPIES)
def test_copies(folder: str) -> None:
    """A chart reads only what is in its folder: `make chart` copied the newest rules and dashboards there."""
    copies = {path.name: path.read_bytes() for path in (CHART / "files" / folder).iterdir()}

    assert {path.name: path.read_bytes() for path in COPIES[folder].iterdir()} == copies


def test_every_rule_file_is_found() -> None:
    """The template takes files by a pattern; none has another ending."""
    assert {".yml"} == {path.suffix for path in RULE_FILES}
    assert {".json"} == {path.suffix for path in COPIES["dashboards"].iterdir()}


def test_every_job_of_the_rules_is_a_value() -> None:
    """The chart replaces every name of a job that a rule contains."""
    template = (CHART / "templates/_rules.tpl").read_text(encoding="utf-8")
    texts = "".join(path.read_text(encoding="utf-8") for path in RULE_FILES)
    jobs = set(re.findall(r'job=~?"([^"%]+)"', texts))

    assert "provider_metrics" in jobs
    assert [] == sorted(job for job in jobs if f'"{job}"' not in template)


def test_versions() -> None:
    """Chart and application are the exporter's version."""
    chart = load(CHART / "Chart.yaml")

    assert (SERVICE_NAME, __version__, __version__) == (chart["name"], chart["version"], chart["appVersion"])


def test_version_of_the_page() -> None:
    """The image that the page builds is the one that the chart names."""
    page = (ROOT / "docs/deployment/kubernetes.md").read_text(encoding="utf-8")

    assert {__version__} == set(re.findall(rf"{SERVICE_NAME}:(\S+)", page))


def test_settings() -> None:
    """Every variable of the exporter is a setting of the chart, or is given by another value."""
    own = {variable.name for variable in VARIABLES} - set(ELSEWHERE)

    assert own | OPENTELEMETRY == set(VALUES["settings"])


def test_settings_are_not_given_twice() -> None:
    """What the chart sets itself is refused as an additional variable."""
    refused = SCHEMA["properties"]["extraEnv"]["items"]["properties"]["name"]["not"]["enum"]

    assert set(VALUES["settings"]) | set(ELSEWHERE) - {"CUSTOM_METRICS_FILE"} == set(refused)


def test_meanings_of_settings() -> None:
    """A setting means in the chart what it means to the exporter, as far as the chart says it."""
    meanings = {variable.name: variable.meaning for variable in VARIABLES}
    for name in sorted(set(VALUES["settings"]) - OPENTELEMETRY):
        first_sentence = re.split(r"\.(?: |$)", comments()[f"settings.{name}"])[0]

        assert meanings[name].startswith(first_sentence)


def test_every_value_is_described() -> None:
    """The comments of values.yaml are the descriptions of the schema."""
    assert comments() == {path: description for path, description, _ in described(SCHEMA, VALUES)}


def test_every_default_is_in_the_schema() -> None:
    """The schema has all values, and values.yaml has all that the schema has."""
    listed = {path for path, _, _ in described(SCHEMA, VALUES)}
    free = {path for path, _, default in described(SCHEMA, VALUES) if isinstance(default, dict)}

    assert listed == {
        path for path in paths(VALUES) if not any(path.startswith(f"{owner}.") for owner in free)
    }


def test_schema_is_strict() -> None:
    """Wherever the schema names values, a misspelt one is refused."""
    assert [] == [part for part in objects(SCHEMA) if part.get("additionalProperties") is not False]


def test_readme() -> None:
    """The chart's README lists every value as values.yaml has it, and no other."""
    rows = [row(*value) for value in described(SCHEMA, VALUES)]
    readme = (CHART / "README.md").read_text(encoding="utf-8")

    assert rows == [line for line in readme.splitlines() if line.startswith("| `")]


def test_full_values_set_everything() -> None:
    """What the tests render in full names every value, but those that would exclude others."""
    others = {"fullnameOverride", "adminKey.as", "serviceAccount.create"}
    full = set(paths(load(CHART / "ci/full-values.yaml")))

    assert others == {path for path, _, _ in described(SCHEMA, VALUES)} - full


def test_scaled_out_loki_has_the_same_limits() -> None:
    """Loki on object storage keeps records for as long, and with the same labels, as the one with a disk."""
    own, scaled = load(ROOT / "loki/loki.yaml"), load(HELM / "scale-out/loki.yaml")

    assert own["limits_config"] == scaled["loki"]["limits_config"]
    (period,) = own["schema_config"]["configs"]
    assert [{**period, "object_store": "s3"}] == scaled["loki"]["schemaConfig"]["configs"]


def test_scaled_out_tempo_makes_the_same_metrics() -> None:
    """Tempo on object storage keeps traces for as long, and makes the same metrics of them."""
    own, scaled = load(ROOT / "tempo/tempo.yaml"), load(HELM / "scale-out/tempo.yaml")["tempo"]
    defaults = own["overrides"]["defaults"]

    assert own["metrics_generator"]["processor"] == scaled["metricsGenerator"]["processor"]
    assert defaults["metrics_generator"] == scaled["overrides"]["defaults"]["metrics_generator"]
    assert defaults["compaction"]["block_retention"] == scaled["retention"]


def test_scaled_out_prometheus_keeps_what_rules_look_back_to() -> None:
    """The longest window of a rule is within the retention."""
    texts = "".join(path.read_text(encoding="utf-8") for path in RULE_FILES)
    days = max(int(days) for days in re.findall(r"\[(\d+)d", texts))
    spec = load(HELM / "scale-out/kube-prometheus-stack.yaml")["prometheus"]["prometheusSpec"]

    assert days < int(spec["retention"].removesuffix("d"))
