"""More than one of each: the overlay for compose, object storage, and a store behind Prometheus."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
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
from tests.stack.compose import OWN_VALUES, Compose, Tree
from tests.stack.objectstore import ObjectStore
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT
from tests.waiting import wait_until

SECOND = f"{SERVICE_NAME}-2"
SCALE = ROOT / "deploy" / "scale"
STORAGE = {"S3_ENDPOINT": "objects.example.com", "S3_ACCESS_KEY": "own-id", "S3_SECRET_KEY": "own-password"}
VALUES = {**OWN_VALUES, "COMPOSE_FILE": "docker-compose.yml:docker-compose.scale.yml", **STORAGE}
LOKI_VARIABLES = {
    **STORAGE,
    # What YAML reads as something else where no quotes are around it.
    "S3_SECRET_KEY": f"{STORAGE['S3_SECRET_KEY']}: #",
    "S3_REGION": "us-east-1",
    "S3_INSECURE": "true",
    "LOKI_BUCKET": "loki",
}


@pytest.fixture(scope="module")
def services(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The services of both files, whose names the compose program reads from a variable."""
    return Compose(programs["compose"], tmp_path_factory.mktemp("scale")).services(VALUES)


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
    ("service", "file"), [("prometheus", "prom.yml"), ("loki", "loki.yaml"), ("tempo", "tempo.yaml")]
)
def test_configuration_is_mounted(services: Tree, service: str, file: str) -> None:
    """The server is started with that file, sees the other one there, read-only, and has its variables."""
    target = f"/etc/{service}/{file}"
    (mount,) = [volume for volume in services[service]["volumes"] if volume["target"] == target]
    variables = set(re.findall(r"\$\{(\w+)\}", (SCALE / file).read_text(encoding="utf-8")))
    command = services[service]["command"]

    assert (str(SCALE / file), True) == (mount["source"], mount["read_only"])
    assert [target] == [part.partition("=")[2] for part in command if "config.file=" in part]
    assert variables == set(services[service].get("environment") or {})
    assert bool(variables) == ("-config.expand-env=true" in command)


@pytest.mark.needs("loki")
def test_loki_keeps_its_data_in_object_storage(programs: Programs, tmp_path: Path) -> None:
    """What was flushed is found by a Loki that has lost its disk."""
    record = [str(time.time_ns()), "stored elsewhere"]
    stream = {"stream": {"service": SERVICE_NAME}, "values": [record]}
    with ObjectStore() as store, ExitStack() as links:
        environment = {**LOKI_VARIABLES, "S3_ENDPOINT": store.address}
        config = "deploy/scale/loki.yaml"
        loki = links.enter_context(servers.loki(programs, tmp_path, servers.Ports(), config, environment))
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


def test_store_has_both_replicas_and_recorded_series_once(programs: Programs, tmp_path: Path) -> None:
    """What two exporters publish is in the store for each; what the rules make of both is there once."""
    ports = servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, 3600.0))
        environment = exporter_environment(gateway.url, ports)
        replicas = [links.enter_context(program(**environment)) for _ in range(2)]
        first, second = (replica.address() for replica in replicas)
        # In the place of Mimir: it scrapes nothing and takes what it is sent.
        store = links.enter_context(servers.prometheus_with(programs, tmp_path / "store", "{}"))
        changes = {
            f"{SECOND}:8001": second,
            "http://mimir:9009/api/v1/push": f"{store.url}/api/v1/write",
        }
        own, config = tmp_path / "prometheus", "deploy/scale/prom.yml"
        links.enter_context(servers.prometheus(programs, own, ports, first, changes, config))

        def found(key: Callable[[Any], str], *queries: str) -> list[list[str]]:
            return [sorted(key(series) for series in store.query(query)) for query in queries]

        published = ("gatewayz_up", "gatewayz_provider_health_status{provider='groq'}")
        both = [sorted((first, second))] * 2
        wait_until(lambda: both == found(lambda series: series["metric"]["instance"], *published), 60)
        recorded = ("job:gatewayz_providers_listed:max", "count(job_provider:gatewayz_health_status:max)")
        # One provider of the demo is not active.
        once = [[str(len(PROVIDERS))], [str(len(PROVIDERS) - 1)]]
        wait_until(lambda: once == found(lambda series: series["value"][1], *recorded), 60)
