"""The real servers as processes on free loopback ports, with the project's configuration and scratch data."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.stack.substitution import ROOT, substituted

READY_SECONDS = 60.0
STOP_SECONDS = 20.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until(check: Callable[[], Any], seconds: float = 30.0, every: float = 0.1) -> Any:
    """Return the first true result of `check`, or tell its last one when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        seen: Any
        try:
            if seen := check():
                return seen
        except (requests.RequestException, LookupError) as error:
            seen = error
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {seen!r}"
        time.sleep(every)


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
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start and wait until it is ready."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
                self.process.wait(STOP_SECONDS)
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

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} has ended:\n{self.log[-3000:]}"
        return requests.get(self.url + self.ready_path, timeout=5).status_code == 200


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


def loki(programs: Mapping[str, Path], folder: Path, ports: Ports) -> Server:
    """Return Loki as the project configures it."""
    changes = {
        "http_listen_port: 3100": f"http_listen_address: 127.0.0.1\n  http_listen_port: {ports.loki}",
        "grpc_listen_port: 9096": f"grpc_listen_address: 127.0.0.1\n  grpc_listen_port: {ports.loki_grpc}",
        " /loki": f" {folder}/data",
    }
    config = _write(folder, "loki.yaml", substituted("loki/loki.yaml", changes))
    command = [str(programs["loki"]), f"-config.file={config}"]
    return Server("loki", command, folder, f"http://127.0.0.1:{ports.loki}", "/ready")


def tempo(programs: Mapping[str, Path], folder: Path, ports: Ports) -> Server:
    """Return Tempo as the project configures it; its generator writes to the Prometheus of these ports."""
    changes = {
        "http_listen_port: 3200": f"http_listen_address: 127.0.0.1\n  http_listen_port: {ports.tempo}",
        "grpc_listen_port: 9095": f"grpc_listen_address: 127.0.0.1\n  grpc_listen_port: {ports.tempo_grpc}",
        "endpoint: :4317": f"endpoint: 127.0.0.1:{ports.tempo_otlp}",
        "prometheus:9090": f"127.0.0.1:{ports.prometheus}",
        "/var/tempo": f"{folder}/data",
    }
    path = _write(folder, "tempo.yaml", substituted("tempo/tempo.yaml", changes))
    command = [str(programs["tempo"]), f"-config.file={path}"]
    return Server("tempo", command, folder, f"http://127.0.0.1:{ports.tempo}", "/ready")


def collector(programs: Mapping[str, Path], folder: Path, ports: Ports, tempo_port: int) -> Server:
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
    programs: Mapping[str, Path],
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
    programs: Mapping[str, Path],
    folder: Path,
    ports: Ports,
    exporter: str,
    changes: Mapping[str, str] = {},
    config_file: str = "prometheus/prom.yml",
) -> Server:
    """Return Prometheus with a configuration of the project, every wait of a minute cut to a second."""
    everything = {
        "scrape_interval: 60s": "scrape_interval: 1s",
        "scrape_timeout: 10s": "scrape_timeout: 1s",
        "provider-metrics-exporter:8001": exporter,
        "localhost:9090": f"127.0.0.1:{ports.prometheus}",
        "alertmanager:9093": f"127.0.0.1:{ports.alertmanager}",
        "loki:3100": f"127.0.0.1:{ports.loki}",
        "otel-collector:8888": f"127.0.0.1:{ports.collector_metrics}",
        "  - rules/": f"  - {ROOT}/prometheus/rules/",
        **changes,
    }
    config = _write(folder, "prom.yml", substituted(config_file, everything))
    command = [
        str(programs["prometheus"]),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        "--web.enable-remote-write-receiver",
        "--enable-feature=exemplar-storage",
    ]
    return Server("prometheus", command, folder, f"http://127.0.0.1:{ports.prometheus}", "/-/ready")


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
