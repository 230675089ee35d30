"""The Helm chart's files agree with each other and with the project; without helm."""

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
    "CUSTOM_METRICS_FILE": "customMetrics",
    "PROMETHEUS_USER": "extraEnv",
    **dict.fromkeys(
        ("PROMETHEUS_PASSWORD", "PROMETHEUS_PASSWORD_FILE"), "extraEnv, a Secret or a volume of one"
    ),
}
"""Variables of the exporter that are not `settings` of the chart, and where they come from."""
IN_EXTRA_ENV = {name for name, where in ELSEWHERE.items() if where.startswith("extraEnv")}
OPENTELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"}

Tree = Mapping[str, Any]


def load(path: Path) -> Any:
    """Return the content of a YAML or JSON file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


VALUES: Tree = load(CHART / "values.yaml")
SCHEMA: Tree = load(CHART / "values.schema.json")
RULES = "".join(path.read_text(encoding="utf-8") for path in RULE_FILES)


def comments() -> Mapping[str, str]:
    """Return the comment above each key of values.yaml, by the key's path."""
    found, path, above = dict[str, str](), list[str](), list[str]()
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
    """Yield path, description and default of every value; a group of values has no default."""
    for name, part in schema["properties"].items():
        if name == "global":
            continue
        path, is_group = f"{prefix}{name}", "properties" in part
        yield path, part["description"], None if is_group else values[name]
        if is_group:
            yield from described(part, values[name], f"{path}.")


def objects(schema: Any) -> Iterator[Tree]:
    """Yield every part of the schema with properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for part in schema.values():
            yield from objects(part)


def paths(values: Tree, prefix: str = "") -> Iterator[str]:
    """Yield the path of every value, including groups and free maps."""
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
    """The chart has the current rules and dashboards (`make chart`), in files that its templates match."""
    copies = {path.name: path.read_bytes() for path in (CHART / "files" / folder).iterdir()}

    assert {path.name: path.read_bytes() for path in COPIES[folder].iterdir()} == copies
    assert {".yml" if folder == "rules" else ".json"} == {Path(name).suffix for name in copies}


def test_every_job_of_the_rules_is_a_value() -> None:
    """The chart replaces the name of every job in a rule."""
    template = (CHART / "templates/_rules.tpl").read_text(encoding="utf-8")
    jobs = set(re.findall(r'job=~?"([^"%]+)"', RULES))

    assert "provider_metrics" in jobs
    assert [] == sorted(job for job in jobs if f'"{job}"' not in template)


def test_versions() -> None:
    """Chart, application and the image on the page have the exporter's version."""
    chart = load(CHART / "Chart.yaml")
    page = (ROOT / "docs/deployment/kubernetes.md").read_text(encoding="utf-8")

    assert (SERVICE_NAME, __version__, __version__) == (chart["name"], chart["version"], chart["appVersion"])
    assert {__version__} == set(re.findall(rf"{SERVICE_NAME}:(\S+)", page))


def test_settings() -> None:
    """Every variable is a setting of the chart or another value, and is refused in `extraEnv`."""
    refused = SCHEMA["properties"]["extraEnv"]["items"]["properties"]["name"]["not"]["enum"]

    own = {variable.name for variable in VARIABLES} - set(ELSEWHERE)
    assert own | OPENTELEMETRY == set(VALUES["settings"])
    assert set(VALUES["settings"]) | set(ELSEWHERE) - IN_EXTRA_ENV == set(refused)


def test_meanings_of_settings() -> None:
    """The description of a setting begins like that of the variable."""
    meanings = {variable.name: variable.meaning for variable in VARIABLES}
    for name in sorted(set(VALUES["settings"]) - OPENTELEMETRY):
        first_sentence = re.split(r"\.(?: |$)", comments()[f"settings.{name}"])[0]

        assert meanings[name].startswith(first_sentence)


def test_every_value_is_described() -> None:
    """The comments of values.yaml are the descriptions of the schema."""
    assert comments() == {path: description for path, description, _ in described(SCHEMA, VALUES)}


def test_every_default_is_in_the_schema() -> None:
    """The schema has exactly the values of values.yaml."""
    values = list(described(SCHEMA, VALUES))
    free = tuple(f"{path}." for path, _, default in values if isinstance(default, dict))

    assert {path for path, *_ in values} == {path for path in paths(VALUES) if not path.startswith(free)}


def test_schema_is_strict() -> None:
    """The schema refuses unknown values everywhere."""
    assert [] == [part for part in objects(SCHEMA) if part.get("additionalProperties") is not False]


def test_readme() -> None:
    """The chart's README lists exactly the values of values.yaml."""
    readme = (CHART / "README.md").read_text(encoding="utf-8")

    rows = [row(*value) for value in described(SCHEMA, VALUES)]
    assert rows == [line for line in readme.splitlines() if line.startswith("| `")]


def test_full_values_set_everything() -> None:
    """The full values for tests set every value, except those that exclude others."""
    others = {"nameOverride", "fullnameOverride", "adminKey.as", "serviceAccount.create"}
    others |= {"webConfig.content", "customMetrics.configMapName", "caBundle.content"}

    full = set(paths(load(CHART / "ci/full-values.yaml")))
    assert others == {path for path, _, _ in described(SCHEMA, VALUES)} - full


def test_scaled_out_loki() -> None:
    """Loki on object storage has the retention and the labels of the one with a disk."""
    own, scaled = load(ROOT / "loki/loki.yaml"), load(HELM / "scale-out/loki.yaml")["loki"]

    assert own["limits_config"] == scaled["limits_config"]
    (period,) = own["schema_config"]["configs"]
    assert [{**period, "object_store": "s3"}] == scaled["schemaConfig"]["configs"]


def test_scaled_out_tempo() -> None:
    """Tempo on object storage has the retention and the metrics of the one with a disk."""
    own, scaled = load(ROOT / "tempo/tempo.yaml"), load(HELM / "scale-out/tempo.yaml")["tempo"]
    defaults = own["overrides"]["defaults"]

    assert own["metrics_generator"]["processor"] == scaled["metricsGenerator"]["processor"]
    assert defaults["metrics_generator"] == scaled["overrides"]["defaults"]["metrics_generator"]
    assert defaults["compaction"]["block_retention"] == scaled["retention"]


def test_scaled_out_prometheus() -> None:
    """The longest range of a rule is shorter than the retention."""
    spec = load(HELM / "scale-out/kube-prometheus-stack.yaml")["prometheus"]["prometheusSpec"]

    days = max(int(days) for days in re.findall(r"\[(\d+)d", RULES))
    assert days < int(spec["retention"].removesuffix("d"))
