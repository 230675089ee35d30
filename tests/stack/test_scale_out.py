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

from exporter import SERVICE_NAME
from exporter.demo.gateway import DemoGateway
from exporter.demo.script import PROVIDERS
from tests.process import program
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.objectstore import ObjectStore
from tests.stack.servers import Server, wait_until
from tests.stack.substitution import ROOT, substituted

SECOND = f"{SERVICE_NAME}-2"
SCALE = ROOT / "deploy" / "scale"
STORAGE = {"S3_ENDPOINT": "objects.example.com", "S3_ACCESS_KEY": "own-id", "S3_SECRET_KEY": "own-password"}
OWN_VALUES = {
    "COMPOSE_FILE": "docker-compose.yml:docker-compose.scale.yml",
    "GATEWAY_API_URL": "https://api.example.com",
    "ADMIN_KEY": "own-key",
    "GRAFANA_ADMIN_PASSWORD": "own-password",
    **STORAGE,
}
LOKI_VARIABLES = {
    **STORAGE,
    # What YAML reads as something else where no quotes are around it.
    "S3_SECRET_KEY": f"{STORAGE['S3_SECRET_KEY']}: #",
    "S3_REGION": "us-east-1",
    "S3_INSECURE": "true",
    "LOKI_BUCKET": "loki",
}

Tree = Mapping[str, Any]


def composed(
    programs: Mapping[str, Path], folder: Path, values: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Return what the compose program makes of both files, with nothing from this process' environment."""
    variables = folder / "variables.env"
    variables.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    return subprocess.run(
        [str(programs["compose"]), f"--env-file={variables}", "config", "--format=json"],
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
    found: Tree = json.loads(result.stdout)["services"]
    return found


@pytest.mark.parametrize("missing", STORAGE)
def test_required_variable(programs: Mapping[str, Path], tmp_path: Path, missing: str) -> None:
    """Without its storage nothing starts, and the message says what is missing."""
    result = composed(programs, tmp_path, {**OWN_VALUES, missing: ""})

    assert (1, "") == (result.returncode, result.stdout)
    assert f"required variable {missing} is missing a value: it is " in result.stderr
    assert "own-password" not in result.stderr


def test_second_exporter(services: Tree) -> None:
    """It is the first one with all its limits and rights, but built with it and without a published port."""
    first, second = services[SERVICE_NAME], services[SECOND]
    own = {"build", "container_name", "ports", "pull_policy"}

    assert {name: value for name, value in first.items() if name not in own} == {
        name: value for name, value in second.items() if name not in own
    }
    assert {"container_name": SECOND, "pull_policy": "never"} == {
        name: second[name] for name in own if second.get(name)
    }


@pytest.mark.parametrize(
    ("service", "target"),
    [
        ("prometheus", "/etc/prometheus/prom.yml"),
        ("loki", "/etc/loki/loki.yaml"),
        ("tempo", "/etc/tempo/tempo.yaml"),
    ],
)
def test_configuration_is_mounted(services: Tree, service: str, target: str) -> None:
    """The server is started with that file, sees the other one there, read-only, and has its variables."""
    (mount,) = [volume for volume in services[service]["volumes"] if volume["target"] == target]
    file = SCALE / Path(target).name
    variables = {part.partition("}")[0] for part in file.read_text(encoding="utf-8").split("${")[1:]}
    command = services[service]["command"]

    assert (str(file), True) == (mount["source"], mount["read_only"])
    assert [target] == [part.partition("=")[2] for part in command if "config.file=" in part]
    assert variables == set(services[service].get("environment") or {})
    assert bool(variables) == ("-config.expand-env=true" in command)


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


@pytest.mark.needs("loki")
def test_loki_keeps_its_data_in_object_storage(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What was flushed is found by a Loki that has lost its disk."""
    record = [str(time.time_ns()), "kept elsewhere"]
    stream = {"stream": {"service": SERVICE_NAME}, "values": [record]}
    with ObjectStore() as store, loki_on_objects(programs, tmp_path, store.address) as loki:
        pushed = requests.post(f"{loki.url}/loki/api/v1/push", json={"streams": [stream]}, timeout=10)
        assert 204 == pushed.status_code
        requests.post(f"{loki.url}/flush", timeout=10).raise_for_status()
        # Records of a Loki without tenants are those of the tenant `fake`.
        wait_until(lambda: [name for name in store.objects if name.startswith("/loki/fake/")], 60)
        loki.stop()
        shutil.rmtree(tmp_path / "data")
        loki.start()

        query = f'{{service="{SERVICE_NAME}"}}'
        (found,) = wait_until(
            lambda: loki.get("/loki/api/v1/query_range", query=query, since="1h")["data"]["result"], 60
        )

    assert [record] == [value[:2] for value in found["values"]]


@dataclass(frozen=True)
class Pair:
    """What two exporters are scraped into."""

    replicas: list[str]
    """Their addresses."""
    store: Server
    """What is behind the Prometheus that scrapes them."""

    def has_both(self, metric: str) -> bool:
        """Tell whether a metric is in the store for each replica, and for nobody else."""
        return self.replicas == sorted(series["metric"].get("instance") for series in self.found(metric))

    def found(self, query: str) -> list[Any]:
        """Return what the store finds."""
        return list(self.store.get("/api/v1/query", query=query)["data"]["result"])


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
        links.enter_context(
            servers.prometheus(
                programs, folder / "prometheus", ports, first, changes, "deploy/scale/prom.yml"
            )
        )
        yield Pair(sorted((first, second)), store)


@pytest.mark.parametrize("metric", ["gatewayz_up", "gatewayz_providers_total"])
def test_store_has_both_replicas(pair: Pair, metric: str) -> None:
    """What the exporters publish is in the store for each of them."""
    assert wait_until(lambda: pair.has_both(metric), 60)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("job:gatewayz_providers_listed:max", len(PROVIDERS)),
        # One provider of the demo is not active.
        ("count(job_provider:gatewayz_health_status:max)", len(PROVIDERS) - 1),
    ],
)
def test_store_has_recorded_series_once(pair: Pair, query: str, value: int) -> None:
    """What the rules make of both is in the store once, with the numbers of one."""
    wait_until(lambda: pair.has_both("gatewayz_provider_health_status{provider='groq'}"), 60)

    assert wait_until(lambda: [str(value)] == [series["value"][1] for series in pair.found(query)], 60)
