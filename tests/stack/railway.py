"""The images for Railway, made and run as far as that goes without a container engine.

Run as a program inside namespaces of its own, so that nothing of this machine is changed or reached:

    unshare --net --mount python -m tests.stack.railway FOLDER

The root of the machine, under a layer that is thrown away, stands for the images: what their Dockerfiles
copy, change and start is copied, changed and started there. Services find each other by the names of Railway,
which are IPv6 addresses only. It prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from exporter import SERVICE_NAME
from tests.dockerfile import Stage, copies, pairs
from tests.process import program
from tests.replay import ReplayGateway
from tests.stack.build import cache
from tests.stack.machine import all_programs
from tests.stack.servers import Programs, Server
from tests.stack.substitution import ROOT
from tests.verify.test_railway import config, stages
from tests.waiting import wait_until

PROGRAMS = {name: name for name in ("loki", "otel-collector", "alertmanager", "prometheus")}
PROGRAMS["otel-collector"] = "otelcol"
"""The program that each image starts by itself; where the machine has no Loki, its service is absent.

Tempo and Grafana are always absent: all services share one network, and Tempo has the port of the collector.
"""
PORTS = {"loki": 3100, "otel-collector": 13133, "alertmanager": 9093, "prometheus": 9090}
ABSENT = "fd00::1"
"""Where nobody is."""
VARIABLES = {"alertmanager": {"SLACK_API_URL": "http://127.0.0.1:9/hidden"}}
ENDPOINT = "http://otel-collector.railway.internal:4318"
POLLS = '{service="provider-metrics-exporter"} | json | providers_total > 0'


def make(service: str) -> None:
    """Copy what the image copies, and run what it runs; every place is the same in all stages."""
    for stage in stages(service):
        for source, target in copies([stage]):
            subprocess.run(["mkdir", "-p", str(Path(target).parent)], check=True)
            subprocess.run(["cp", "-rT", str(ROOT / source), target], check=True)
        for command in stage.all("RUN"):
            subprocess.run(["/bin/sh", "-c", command], check=True)
    for config_file in Path("/etc/prometheus").glob("prom.yml"):
        text = config_file.read_text(encoding="utf-8").replace("scrape_timeout: 10s", "scrape_timeout: 1s")
        config_file.write_text(text.replace("scrape_interval: 60s", "scrape_interval: 2s"), encoding="utf-8")


def command_of(final: Stage, own: str) -> list[str]:
    """Return what the image starts: its own program, unless an entrypoint is given."""
    entrypoint = [json.loads(text) for text in final.all("ENTRYPOINT")]
    return [*(entrypoint[0] if entrypoint else [own]), *json.loads(final.one("CMD"))]


def name(service: str) -> str:
    """Return the name of a service in Railway's private network."""
    return f"{service}.railway.internal"


def enter(folder: Path, services: Collection[str]) -> None:
    """Become a process whose root is a throw-away layer above the real one, and whose network is its own.

    Args:
        folder: Where the layer is mounted.
        services: Those that will run; the names of the others lead nowhere.
    """
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)
    upper, work, root = folder / "upper", folder / "work", folder / "root"
    for path in (upper, work, root):
        path.mkdir()
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(root)], check=True)
    # What may be mounted below the root is not in the layer.
    for shown in ("/proc", "/dev", "/sys", str(ROOT), str(cache()), os.path.realpath(sys.prefix)):
        below = root / shown.removeprefix("/")
        below.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--rbind", shown, str(below)], check=True)
    os.chroot(root)
    os.chdir(ROOT)
    everybody = (*PROGRAMS, SERVICE_NAME, "tempo", "grafana")
    hosts = dict.fromkeys(everybody, ABSENT) | dict.fromkeys((*services, SERVICE_NAME), "::1")
    lines = ["127.0.0.1 localhost", *(f"{address} {name(service)}" for service, address in hosts.items())]
    Path("/etc/hosts").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def running(service: str, programs: Programs) -> Iterator[Server]:
    """Make an image and run it with a volume that is empty."""
    final, own = stages(service)[-1], programs[PROGRAMS[service]]
    make(service)
    folder = Path("/tmp") / f"railway-{service}"
    folder.mkdir()
    path = f"{own.parent}:{os.environ['PATH']}"
    environment = {"PATH": path, **pairs(final.all("ENV")), **VARIABLES.get(service, {})}
    url, ready = f"http://{name(service)}:{PORTS[service]}", config(service)["deploy"]["healthcheckPath"]
    with Server(service, command_of(final, str(own)), folder, url, ready, environment) as server:
        yield server


def seen(servers: Mapping[str, Server]) -> Mapping[str, Any]:
    """Wait until everything has found everything, and return what was seen."""
    prometheus, alertmanager = servers["prometheus"], servers["alertmanager"]
    if loki := servers.get("loki"):
        wait_until(lambda: loki.get("/loki/api/v1/query_range", query=POLLS)["data"]["result"], 60)

    def targets() -> Mapping[str, str]:
        return {job: target["health"] for job, target in prometheus.targets().items()}

    there = {"provider_metrics", *servers}
    wait_until(lambda: there == {job for job, health in targets().items() if health == "up"})
    wait_until(lambda: "unknown" not in targets().values())
    by_ipv4 = {
        service: requests.get(f"http://127.0.0.1:{PORTS[service]}{server.ready_path}", timeout=5).status_code
        for service, server in servers.items()
    }
    managers = prometheus.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    return {
        "by_ipv4": by_ipv4,
        "targets": targets(),
        "alertmanagers": [manager["url"] for manager in managers],
        "slack": alertmanager.get("/api/v2/status")["config"]["original"].count("api_url_file:"),
        "logs": {service: server.log for service, server in servers.items()},
    }


def main(folder: Path) -> None:
    """Run everything, and print what was seen."""
    programs = all_programs(lambda line: print(line, file=sys.stderr))
    services = [service for service, own in PROGRAMS.items() if own in programs]
    enter(folder, services)
    with ExitStack() as stack:
        gateway = stack.enter_context(ReplayGateway())
        servers = {service: stack.enter_context(running(service, programs)) for service in services}
        variables = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": "test-admin-key", "SCRAPE_INTERVAL": "2"}
        stack.enter_context(program(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, **variables))
        print(json.dumps(seen(servers)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
