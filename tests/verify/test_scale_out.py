"""Tests of the configuration for several replicas and shared storage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from exporter import SERVICE_NAME

ROOT = Path(__file__).parents[2]
OVERLAY = (ROOT / "docker-compose.scale.yml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deployment" / "scale-out.md").read_text(encoding="utf-8")


def load(path: str) -> Any:
    """Return the content of a YAML file of the project."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_prometheus() -> None:
    """The file of Prometheus differs in the second exporter, its own name and the remote storage."""
    tree = load("deploy/scale/prom.yml")
    (job,) = [row for row in tree["scrape_configs"] if row["job_name"] == "provider_metrics"]

    assert f"{SERVICE_NAME}-2:8001" == job["static_configs"][0]["targets"].pop()
    assert ["replica"] == list(tree["global"].pop("external_labels"))
    # Alerts of two servers are the same ones for Alertmanager.
    assert [{"action": "labeldrop", "regex": "replica"}] == tree["alerting"].pop("alert_relabel_configs")
    assert [{"url", "send_exemplars"}] == [set(store) for store in tree.pop("remote_write")]
    assert load("prometheus/prom.yml") == tree


def test_loki() -> None:
    """The file of Loki differs in the storage."""
    original, tree = load("loki/loki.yaml"), load("deploy/scale/loki.yaml")
    (period,) = tree["schema_config"]["configs"]

    assert ["s3"] == list(tree["common"]["storage"])
    tree["common"]["storage"] = original["common"]["storage"]
    for parent, key in ((period, "object_store"), (tree["compactor"], "delete_request_store")):
        assert "s3" == parent[key]
        parent[key] = "filesystem"
    assert original == tree


def test_tempo() -> None:
    """The file of Tempo differs in the storage."""
    original, tree = load("tempo/tempo.yaml"), load("deploy/scale/tempo.yaml")
    own, other = original["storage"]["trace"], tree["storage"]["trace"]

    assert ("local", "s3") == (own["backend"], other["backend"])
    assert {own.pop("backend"), "wal"} == set(own)
    assert {other.pop("backend"), "wal"} == set(other)
    del own["local"], other["s3"]
    assert original == tree


def test_data_source() -> None:
    """Thanos is a data source like Prometheus, at another address and without rules."""
    (thanos,) = load("deploy/scale/thanos-datasource.yaml")["datasources"]
    prometheus = load("grafana/provisioning/datasources/datasources.yaml")["datasources"][0]
    own = {"name": "Thanos", "uid": "thanos", "url": "http://thanos-query:10902"}
    settings = prometheus["jsonData"] | {"prometheusType": "Thanos", "manageAlerts": False}
    del settings["alertmanagerUid"], prometheus["isDefault"]

    assert {**prometheus, **own, "jsonData": settings} == thanos


def test_variables() -> None:
    """The page lists the variables of the overlay with their defaults; those of the storage are required."""
    rows = re.findall(r"^ *\| `([A-Z_0-9]+)` \| (?:`(.*)` )?\|", PAGE, re.MULTILINE)
    required = re.findall(r"\$\{(\w+):\?", OVERLAY)
    base = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    defaults = [row for row in re.findall(r"\$\{(\w+):-(.*?)\}", OVERLAY) if f"${{{row[0]}:-" not in base]

    assert {"S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY"} == set(required)
    assert sorted([*defaults, *((name, "") for name in required)]) == sorted(rows)
