"""More than one of each: the overlay for compose, and object storage."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import yaml

from exporter import SERVICE_NAME
from tests.http_server import free_port
from tests.stack import servers
from tests.stack.build import SEAWEEDFS, THANOS
from tests.stack.compose import Tree
from tests.stack.scale import SECOND, overlay
from tests.stack.seaweedfs import BUCKETS, seaweedfs, storage
from tests.stack.seaweedfs import NAME as OBJECTS
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT
from tests.stack.thanos import COMPACT, QUERY, RECEIVERS, STORE
from tests.waiting import wait_until

SCALE = ROOT / "deploy" / "scale"
VOLUMES = "thanos-volumes"
"""Gives Thanos its volumes, and ends."""
STORING = (*RECEIVERS, STORE, COMPACT)
ONCE = {VOLUMES, BUCKETS}
"""Services that end."""
PROFILES = {"thanos": {*STORING, QUERY, VOLUMES}, "seaweedfs": {OBJECTS, BUCKETS}}
BASE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
MOUNTED = [
    ("prometheus", "/etc/prometheus/prom.yml", "prom.yml"),
    ("loki", "/etc/loki/loki.yaml", "loki.yaml"),
    ("tempo", "/etc/tempo/tempo.yaml", "tempo.yaml"),
    *((name, "/etc/thanos/storage.yaml", "thanos-storage.yaml") for name in STORING),
]
"""Service, where it sees the file, and the file."""
DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


@pytest.fixture(scope="module")
def services(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The services of both files with all profiles."""
    return overlay(programs, tmp_path_factory.mktemp("scale"), *PROFILES)


def test_profiles(programs: Programs, services: Tree, tmp_path: Path) -> None:
    """Thanos and SeaweedFS run with their profiles only."""
    without = overlay(programs, tmp_path)

    assert {*(set(BASE["services"]) - {"demo-gateway"}), SECOND} == set(without)
    for profile, names in PROFILES.items():
        assert names == {name for name in services if profile in services[name].get("profiles", ())}


def test_second_exporter(services: Tree) -> None:
    """It is the first one with all its limits and rights, but built with it and without a published port."""
    first, second = services[SERVICE_NAME], services[SECOND]
    own = {"build", "ports", "pull_policy"}

    assert {name: value for name, value in first.items() if name not in own} == {
        name: value for name, value in second.items() if name not in own
    }
    assert {"pull_policy": "never"} == {name: second[name] for name in own if second.get(name)}


@pytest.mark.parametrize("name", sorted(set().union(*PROFILES.values())))
def test_limits(services: Tree, name: str) -> None:
    """Each further service has the rights and limits of the others, and publishes no port."""
    service, other = services[name], services["otel-collector"]
    common = set(BASE["x-service"]) - {"restart", "stop_grace_period"}

    assert {key: other[key] for key in common} == {key: service[key] for key in common}
    assert ("no" if name in ONCE else other["restart"]) == service["restart"]
    assert name == VOLUMES or set(BASE["x-no-proxy"]) <= set(service["environment"])
    assert "ports" not in service
    assert re.fullmatch(r"\d+", service["mem_limit"])
    assert (["CHOWN"] if name == VOLUMES else None) == service.get("cap_add")
    assert (name == VOLUMES) == (service["user"] == "0:0")


def test_images(services: Tree) -> None:
    """The images are of the releases with which the tests run."""
    images = {
        services[name]["image"].partition("@")[0] for names in PROFILES.values() for name in names - {VOLUMES}
    }

    expected = {f"quay.io/thanos/thanos:v{THANOS.release}", f"chrislusf/seaweedfs:{SEAWEEDFS.release}"}
    assert expected == images
    assert services["otel-collector-volume"]["image"] == services[VOLUMES]["image"]


def test_health_checks(services: Tree) -> None:
    """Each server is asked whether it is ready, past any proxy."""
    names = {*STORING, QUERY, OBJECTS}
    urls = {"http://127.0.0.1:10902/-/ready", "http://127.0.0.1:8333/healthz"}
    checks = {name: services[name]["healthcheck"]["test"] for name in names}

    assert [["CMD", "wget", "-Y", "off", "-q", "-O", "/dev/null"]] * len(names) == [
        check[:-1] for check in checks.values()
    ]
    assert urls == {check[-1] for check in checks.values()}


def test_volumes(services: Tree) -> None:
    """The data of each server are on a volume of its own, which Thanos' user owns before Thanos starts."""
    data = {
        name: [mount["source"] for mount in services[name]["volumes"] if mount["type"] == "volume"]
        for name in (*STORING, OBJECTS)
    }
    owned = {mount["target"]: mount["source"] for mount in services[VOLUMES]["volumes"]}

    assert {name: [name] for name in data} == data
    assert [services[STORE]["user"], *owned] == services[VOLUMES]["command"][1:]
    assert set(STORING) == set(owned.values())
    assert {"service_completed_successfully"} == {
        services[name]["depends_on"][VOLUMES]["condition"] for name in STORING
    }


@pytest.mark.parametrize(("service", "target", "file"), MOUNTED)
def test_configuration_is_mounted(services: Tree, service: str, target: str, file: str) -> None:
    """The server is started with that file, sees it there, read-only, and has its variables."""
    (mount,) = [volume for volume in services[service]["volumes"] if volume["target"] == target]
    variables = set(re.findall(r"\$[{(](\w+)[})]", (SCALE / file).read_text(encoding="utf-8")))
    command = services[service]["command"]

    assert (str(SCALE / file), True) == (mount["source"], mount["read_only"])
    assert [target] == [
        part.partition("=")[2] for part in command if "config.file=" in part or "config-file=" in part
    ]
    assert variables == set(services[service]["environment"]) - set(BASE["x-no-proxy"])
    if service in ("loki", "tempo"):
        assert "-config.expand-env=true" in command


def test_files_are_checked(services: Tree) -> None:
    """What reads the mounted files before the servers do reads those of the overlay, too."""
    assert str(SCALE) in {mount["source"] for mount in services["file-check"]["volumes"]}


def test_receivers_differ(services: Tree) -> None:
    """The receivers differ in name and volume only; Prometheus writes to a name that all of them have."""
    one, *others = (
        yaml.safe_load(yaml.safe_dump(services[name]).replace(name, "receiver")) for name in RECEIVERS
    )
    for number, other in enumerate(others, 2):
        own = other["command"].index(f'--label=receive_replica="{number}"')
        other["command"][own] = '--label=receive_replica="1"'
        assert one == other
    prometheus = (SCALE / "prom.yml").read_text(encoding="utf-8")
    (alias,) = one["networks"]["default"]["aliases"]
    assert f"url: http://{alias}:19291/api/v1/receive" in prometheus


def test_command_of_prometheus(services: Tree) -> None:
    """It is that of docker-compose.yml, and a deadline that ends before Docker kills it."""
    *command, deadline = services["prometheus"]["command"]
    flag, _, duration = deadline.partition("=")

    text = (ROOT / "docker-compose.scale.yml").read_text(encoding="utf-8")
    assert "--storage.remote.flush-deadline" == flag
    assert len(BASE["services"]["prometheus"]["command"]) == len(command)
    assert [] == [part for part in BASE["services"]["prometheus"]["command"] if f"- {part}\n" not in text]
    assert 2 * seconds(duration) <= seconds(services["prometheus"]["stop_grace_period"])


def seconds(duration: str) -> int:
    """Return a duration of minutes and seconds."""
    match = DURATION.fullmatch(duration)
    assert match, duration
    minutes, rest = (int(number or 0) for number in match.groups())
    return 60 * minutes + rest


def test_prometheus_stops_in_time(programs: Programs, services: Tree, tmp_path: Path) -> None:
    """While the remote storage is away it ends by itself before Docker kills it."""
    ports, nobody = servers.Ports(), f"127.0.0.1:{free_port()}"
    changes = {f"{SECOND}:8001": nobody, "thanos-receive:19291": nobody}
    prometheus = servers.prometheus(programs, tmp_path, ports, nobody, changes, "deploy/scale/prom.yml")
    prometheus.command = [*prometheus.command, services["prometheus"]["command"][-1]]
    with prometheus:
        wait_until(lambda: "Failed to send batch" in prometheus.log)
        process = prometheus.process
        assert process
        process.terminate()

        assert 0 == process.wait(seconds(services["prometheus"]["stop_grace_period"]))


@pytest.mark.needs("loki")
def test_loki_keeps_its_data_in_object_storage(programs: Programs, services: Tree, tmp_path: Path) -> None:
    """What was flushed is found by a Loki that has lost its disk."""
    record = [str(time.time_ns()), "stored elsewhere"]
    stream = {"stream": {"service": SERVICE_NAME}, "values": [record]}
    with ExitStack() as links:
        store = links.enter_context(seaweedfs(programs["weed"], tmp_path / "objects", services))
        environment = storage(services["loki"]["environment"], store)
        config = "deploy/scale/loki.yaml"
        own = tmp_path / "loki"
        loki = links.enter_context(servers.loki(programs, own, servers.Ports(), config, environment))
        pushed = requests.post(f"{loki.url}/loki/api/v1/push", json={"streams": [stream]}, timeout=10)
        assert 204 == pushed.status_code
        requests.post(f"{loki.url}/flush", timeout=10).raise_for_status()
        # Ends after it has uploaded the index.
        loki.stop()
        shutil.rmtree(own / "data")
        loki.start()

        query = f'{{service="{SERVICE_NAME}"}}'
        (found,) = wait_until(
            lambda: loki.get("/loki/api/v1/query_range", query=query, since="1h")["data"]["result"], 60
        )

    assert [record] == [value[:2] for value in found["values"]]
