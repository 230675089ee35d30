"""More than one of each: the overlay for compose, object storage, and a store behind Prometheus."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from exporter import SERVICE_NAME
from exporter.demo import PROVIDERS, DemoGateway
from tests.process import program
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.objectstore import ObjectStore
from tests.stack.servers import Server, wait_until
from tests.stack.substitution import ROOT, substituted

pytestmark = pytest.mark.stack

SECOND = f"{SERVICE_NAME}-2"
SCALE = ROOT / "deploy" / "scale"
STORAGE = {"S3_ENDPOINT": "objects.example.com", "S3_ACCESS_KEY": "own-id", "S3_SECRET_KEY": "own-password"}
OWN_VALUES = {
    "GATEWAY_API_URL": "https://api.example.com",
    "ADMIN_KEY": "own-key",
    "GRAFANA_ADMIN_PASSWORD": "own-password",
    **STORAGE,
}
LOKI_VARIABLES = {
    **STORAGE,
    "S3_REGION": "us-east-1",
    "S3_INSECURE": "true",
    "LOKI_BUCKET": "loki",
}

Tree = Any


def composed(
    programs: Mapping[str, Path], folder: Path, values: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Return what the compose program makes of both files, with nothing from this process' environment."""
    variables = folder / "variables.env"
    variables.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    files = ["--file=docker-compose.yml", "--file=docker-compose.scale.yml", f"--env-file={variables}"]
    return subprocess.run(
        [str(programs["compose"]), *files, "config", "--format=json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def services(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The services of both files."""
    result = composed(programs, tmp_path_factory.mktemp("scale"), OWN_VALUES)
    assert (0, "") == (result.returncode, result.stderr)
    return json.loads(result.stdout)["services"]


@pytest.mark.parametrize("missing", STORAGE)
def test_required_variable(programs: Mapping[str, Path], tmp_path: Path, missing: str) -> None:
    """Without its storage nothing starts, and the message says what is missing."""
    result = composed(programs, tmp_path, {**OWN_VALUES, missing: ""})

    assert 0 != result.returncode
    assert f"required variable {missing} is missing a value: it is " in result.stderr
    assert "own-password" not in result.stderr


def test_second_exporter(services: Tree) -> None:
    """It is the first one but for its name, is built with it, and publishes no port."""
    first, second = dict(services[SERVICE_NAME]), dict(services[SECOND])
    differ = {name for name in first | second if first.get(name) != second.get(name)}

    assert {"build", "container_name", "ports", "pull_policy"} == differ
    assert (SECOND, "never", None, None) == (
        second["container_name"],
        second["pull_policy"],
        second.get("build"),
        second.get("ports"),
    )


@pytest.mark.parametrize(
    ("service", "target", "file"),
    [
        ("prometheus", "/etc/prometheus/prom.yml", "prom.yml"),
        ("loki", "/etc/loki/loki.yaml", "loki.yaml"),
        ("tempo", "/etc/tempo/tempo.yaml", "tempo.yaml"),
    ],
)
def test_configuration_is_mounted(services: Tree, service: str, target: str, file: str) -> None:
    """The server reads the file of this size in the place of the other, read-only, and has its variables."""
    (mount,) = [volume for volume in services[service]["volumes"] if volume["target"] == target]
    text = (SCALE / file).read_text(encoding="utf-8")
    variables = {part.partition("}")[0] for part in text.split("${")[1:]}

    assert (str(SCALE / file), True) == (mount["source"], mount["read_only"])
    assert variables == set(services[service].get("environment") or {})
    assert not variables or "-config.expand-env=true" in services[service]["command"]


def test_rest_is_the_same() -> None:
    """The files for this size say what those of one machine say, but for replicas, store and storage."""
    prometheus, own = parsed(SCALE / "prom.yml"), parsed(ROOT / "prometheus" / "prom.yml")
    (job,) = [row for row in prometheus["scrape_configs"] if row["job_name"] == "provider_metrics"]
    assert "http://mimir:9009/api/v1/push" == prometheus.pop("remote_write")[0]["url"]
    assert f"{SECOND}:8001" == job["static_configs"][0]["targets"].pop()
    assert own == prometheus

    loki, own = parsed(SCALE / "loki.yaml"), parsed(ROOT / "loki" / "loki.yaml")
    loki["common"]["storage"] = own["common"]["storage"]
    loki["schema_config"]["configs"][0]["object_store"] = "filesystem"
    loki["compactor"]["delete_request_store"] = "filesystem"
    assert own == loki

    tempo, own = parsed(SCALE / "tempo.yaml"), parsed(ROOT / "tempo" / "tempo.yaml")
    assert "s3" == tempo["storage"]["trace"].pop("backend")
    assert "${TEMPO_BUCKET}" == tempo["storage"]["trace"].pop("s3")["bucket"]
    assert {"backend", "local"} == {
        own["storage"]["trace"].pop(name) and name for name in ("backend", "local")
    }
    assert own == tempo


def parsed(path: Path) -> Tree:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def loki_on_objects(programs: Mapping[str, Path], folder: Path, storage: str) -> Server:
    """Return Loki with the configuration for object storage."""
    ports = servers.Ports()
    changes = {
        "http_listen_port: 3100": f"http_listen_address: 127.0.0.1\n  http_listen_port: {ports.loki}",
        "grpc_listen_port: 9096": f"grpc_listen_address: 127.0.0.1\n  grpc_listen_port: {ports.loki_grpc}",
        " /loki": f" {folder}/data",
    }
    config = folder / "loki.yaml"
    config.write_text(substituted("deploy/scale/loki.yaml", changes), encoding="utf-8")
    command = [str(programs["loki"]), f"-config.file={config}", "-config.expand-env=true"]
    environment = {**LOKI_VARIABLES, "S3_ENDPOINT": storage}
    return Server("loki", command, folder, f"http://127.0.0.1:{ports.loki}", "/ready", environment)


def test_loki_keeps_its_data_in_object_storage(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What was stored is found by a Loki that has lost its disk."""
    record = [str(time.time_ns()), "kept elsewhere"]
    stream = {"stream": {"service": SERVICE_NAME}, "values": [record]}
    with ObjectStore() as store, loki_on_objects(programs, tmp_path, store.address) as loki:
        pushed = requests.post(f"{loki.url}/loki/api/v1/push", json={"streams": [stream]}, timeout=10)
        assert 204 == pushed.status_code
        requests.post(f"{loki.url}/flush", timeout=10).raise_for_status()
        wait_until(lambda: [name for name in store.objects if name.startswith("loki/fake/")], 60)
        loki.stop()
        assert [name for name in store.objects if name.startswith("loki/index/")]
        shutil.rmtree(tmp_path / "data")
        loki.start()

        query = f'{{service="{SERVICE_NAME}"}}'
        (found,) = wait_until(
            lambda: loki.get("/loki/api/v1/query_range", query=query, since="1h")["data"]["result"], 60
        )

    assert [record] == [value[:2] for value in found["values"]]


@dataclass(frozen=True)
class Pair:
    """Prometheus, and the store behind it."""

    prometheus: Server
    store: Server


def store_in_the_place_of_mimir(programs: Mapping[str, Path], folder: Path) -> Server:
    """Return a Prometheus that scrapes nothing and takes what it is sent."""
    folder.mkdir()
    (folder / "empty.yml").write_text("{}", encoding="utf-8")
    port = servers.free_port()
    command = [
        str(programs["prometheus"]),
        "--config.file=empty.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]
    return Server("store", command, folder, f"http://127.0.0.1:{port}", "/-/ready")


@pytest.fixture(scope="module")
def pair(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two exporters, the Prometheus that scrapes them, and another one in the place of the store."""
    folder, ports = tmp_path_factory.mktemp("pair"), servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, 3600.0))
        environment = exporter_environment(gateway.url, ports)
        replicas = [links.enter_context(program(**environment)) for _ in range(2)]
        first, second = (replica.url().removeprefix("http://") for replica in replicas)
        store = links.enter_context(store_in_the_place_of_mimir(programs, folder / "store"))
        changes = {
            "evaluation_interval: 30s": "evaluation_interval: 1s",
            f"{SECOND}:8001": second,
            "http://mimir:9009/api/v1/push": f"{store.url}/api/v1/write",
        }
        prometheus = servers.prometheus(
            programs, folder / "prometheus", ports, first, changes, "deploy/scale/prom.yml"
        )
        yield Pair(links.enter_context(prometheus), store)


def test_store_has_both_replicas(pair: Pair) -> None:
    """Both are in the store, and what the rules make of them is there once."""

    def asked(query: str) -> list[Any]:
        return list(pair.store.get("/api/v1/query", query=query)["data"]["result"])

    def found() -> bool:
        total = asked('gatewayz_providers_total{job="provider_metrics"}')
        once = asked("job:gatewayz_providers_listed:max")
        return len(total) == 2 and [str(len(PROVIDERS))] == [series["value"][1] for series in once]

    assert wait_until(found, 60)
