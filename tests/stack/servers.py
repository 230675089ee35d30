"""The real servers as processes on free loopback ports, with the project's configuration and scratch data."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import requests
import yaml

from tests.http_server import free_port
from tests.stack.substitution import ROOT, substituted
from tests.waiting import wait_until

Programs = Mapping[str, Path]
"""Paths of programs by their names."""

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


def run(program: Path | str, *arguments: Path | str, **options: Any) -> tuple[int, str]:
    """Run a program in the project's folder, and return its exit code and its whole output."""
    command = [str(program), *map(str, arguments)]
    settings = {"cwd": ROOT, "input": "", "timeout": 300, **options}
    result = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    return result.returncode, result.stdout + result.stderr


@dataclass
class Server:
    """One server; it may be stopped or killed, and started again on the same port and data."""

    name: str
    command: Sequence[str]
    folder: Path
    url: str
    ready_path: str
    environment: Mapping[str, str] | None = None
    """None: that of the tests."""
    verify: Path | None = None
    """The certificate of a server with TLS."""
    stop_seconds: float = STOP_SECONDS
    """How long it may take to end before it is killed."""
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start and wait until it is ready."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self.stop()

    @property
    def log(self) -> str:
        """All that it has written."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        wait_until(self._is_ready, READY_SECONDS)

    def stop(self) -> None:
        """End it, by its id."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self) -> None:
        """End it without a warning."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the parsed answer of its API."""
        response = requests.get(self.url + path, params=parameters, timeout=10)
        response.raise_for_status()
        return response.json()

    def query(self, expression: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """Return the series that Prometheus finds by an instant query."""
        answered = self.get("/api/v1/query", query=expression, **parameters)
        return list(answered["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Return the value of the first series of an instant query, None without a series."""
        series = self.query(expression)
        return float(series[0]["value"][1]) if series else None

    def targets(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the target of each job of Prometheus, of several the last."""
        found = self.get("/api/v1/targets")["data"]["activeTargets"]
        return {target["labels"]["job"]: target for target in found}

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} has ended:\n{self.log[-3000:]}"
        verify = None if self.verify is None else str(self.verify)
        return requests.get(self.url + self.ready_path, timeout=5, verify=verify).status_code == 200


@dataclass
class Ports:
    """Where everything listens, chosen before anything starts."""

    loki: int = field(default_factory=free_port)
    loki_grpc: int = field(default_factory=free_port)
    tempo: int = field(default_factory=free_port)
    tempo_grpc: int = field(default_factory=free_port)
    tempo_otlp: int = field(default_factory=free_port)
    otlp_grpc: int = field(default_factory=free_port)
    otlp_http: int = field(default_factory=free_port)
    collector_metrics: int = field(default_factory=free_port)
    collector_health: int = field(default_factory=free_port)
    alertmanager: int = field(default_factory=free_port)
    prometheus: int = field(default_factory=free_port)
    grafana: int = field(default_factory=free_port)


def loki(
    programs: Programs,
    folder: Path,
    ports: Ports,
    config_file: str = "loki/loki.yaml",
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Return Loki with a configuration of the project."""
    changes = {**_listening(3100, ports.loki, 9096, ports.loki_grpc), " /loki": f" {folder}/data"}
    config = _write(folder, "loki.yaml", substituted(config_file, changes))
    command = [str(programs["loki"]), f"-config.file={config}", "-config.expand-env=true"]
    return Server("loki", command, folder, f"http://127.0.0.1:{ports.loki}", "/ready", environment)


def tempo(programs: Programs, folder: Path, ports: Ports) -> Server:
    """Return Tempo as the project configures it; its generator writes to the Prometheus of these ports."""
    changes = {
        **_listening(3200, ports.tempo, 9095, ports.tempo_grpc),
        "endpoint: :4317": f"endpoint: 127.0.0.1:{ports.tempo_otlp}",
        "prometheus:9090": f"127.0.0.1:{ports.prometheus}",
        "/var/tempo": f"{folder}/data",
    }
    path = _write(folder, "tempo.yaml", substituted("tempo/tempo.yaml", changes))
    command = [str(programs["tempo"]), f"-config.file={path}"]
    return Server("tempo", command, folder, f"http://127.0.0.1:{ports.tempo}", "/ready")


def collector(programs: Programs, folder: Path, ports: Ports, tempo_port: int) -> Server:
    """Return the collector as the project configures it, with Tempo at another port."""
    changes = {
        "endpoint: :4317": f"endpoint: 127.0.0.1:{ports.otlp_grpc}",
        "endpoint: :4318": f"endpoint: 127.0.0.1:{ports.otlp_http}",
        "endpoint: :13133": f"endpoint: 127.0.0.1:{ports.collector_health}",
        'host: ""': "host: 127.0.0.1",
        "port: 8888": f"port: {ports.collector_metrics}",
        "tempo:4317": f"127.0.0.1:{tempo_port}",
        "loki:3100": f"127.0.0.1:{ports.loki}",
        "/var/lib/otelcol": f"{folder}/data",
    }
    config = _write(folder, "collector.yaml", substituted("otel/collector.yaml", changes))
    command = [str(programs["otelcol"]), f"--config={config}"]
    return Server("otelcol", command, folder, f"http://127.0.0.1:{ports.collector_health}", "/")


def alertmanager(
    programs: Programs,
    folder: Path,
    ports: Ports,
    shell: Sequence[str] = ("/bin/sh",),
    config: str | None = None,
    **variables: str,
) -> Server:
    """Return Alertmanager as the project starts it, with channels as the variables say.

    What start.sh renders is in `folder / "alertmanager"`.

    Args:
        programs: The servers.
        folder: Where it runs.
        ports: Where everything listens.
        shell: What runs start.sh.
        config: In place of the project's alertmanager.yml.
        variables: The environment of start.sh.
    """
    own = shutil.copytree(ROOT / "alertmanager", folder / "own", dirs_exist_ok=True)
    if config is not None:
        _write(own, "alertmanager.yml", config)
    url = f"http://127.0.0.1:{ports.alertmanager}"
    command = [
        *shell,
        f"{own}/start.sh",
        f"--storage.path={folder}/data",
        f"--web.external-url={url}",
        f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
        "--cluster.listen-address=",
    ]
    path = f"{programs['alertmanager'].parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "TMPDIR": str(folder), **variables}
    return Server("alertmanager", command, folder, url, "/-/ready", environment)


def prometheus(
    programs: Programs,
    folder: Path,
    ports: Ports,
    exporter: str,
    changes: Mapping[str, str] = {},
    config_file: str = "prometheus/prom.yml",
    rules: Path = ROOT / "prometheus" / "rules",
) -> Server:
    """Return Prometheus with a configuration of the project that scrapes each second."""
    everything = {
        "scrape_interval: 60s": "scrape_interval: 1s",
        "scrape_timeout: 10s": "scrape_timeout: 1s",
        "provider-metrics-exporter:8001": exporter,
        "localhost:9090": f"127.0.0.1:{ports.prometheus}",
        "alertmanager:9093": f"127.0.0.1:{ports.alertmanager}",
        "loki:3100": f"127.0.0.1:{ports.loki}",
        "otel-collector:8888": f"127.0.0.1:{ports.collector_metrics}",
        "  - rules/": f"  - {rules}/",
        **changes,
    }
    return prometheus_with(programs, folder, substituted(config_file, everything), ports.prometheus)


def prometheus_with(programs: Programs, folder: Path, config: str, port: int | None = None) -> Server:
    """Return Prometheus with the text of a configuration, on a free port if none is given."""
    port = port or free_port()
    command = [
        str(programs["prometheus"]),
        f"--config.file={_write(folder, 'prom.yml', config)}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        *(
            flag
            for flag in COMPOSE["prometheus"]["command"]
            if flag.startswith(("--web.enable-", "--enable-"))
        ),
    ]
    return Server("prometheus", command, folder, f"http://127.0.0.1:{port}", "/-/ready")


def _listening(http: int, own_http: int, grpc: int, own_grpc: int) -> dict[str, str]:
    """Return what makes Loki or Tempo listen on two ports of the loopback."""
    return {
        f"{kind}_listen_port: {port}": f"{kind}_listen_address: 127.0.0.1\n  {kind}_listen_port: {own}"
        for kind, port, own in (("http", http, own_http), ("grpc", grpc, own_grpc))
    }


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
