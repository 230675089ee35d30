"""The real Grafana with the project's provisioning, or with none, and a login to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.stack.servers import COMPOSE, Ports, Programs, Server
from tests.stack.substitution import shortened_boards, substituted

USER = "admin"
PASSWORD = "very-secret-word"
MOUNTED = "/var/lib/grafana/dashboards"
"""Where the stack has the dashboards."""
PACKAGED = Path("/usr/share/grafana")
"""The home of Debian's package, whose program is elsewhere."""
PRIVATE = {
    "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
}
"""What keeps requests on the machine, besides what the stack sets for that."""


@dataclass
class Grafana(Server):
    """A Grafana that can be logged in to."""

    def session(self) -> dict[str, Any]:
        """Return the options of a browser in which the administrator is logged in."""
        session = requests.Session()
        session.post(
            f"{self.url}/login", json={"user": USER, "password": PASSWORD}, timeout=10
        ).raise_for_status()
        cookies = [
            {"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}
            for name, value in session.cookies.items()
        ]
        # The time zone of the tests is none that a browser knows.
        return {"storage_state": {"cookies": cookies, "origins": []}, "timezone_id": "UTC"}

    def create_source(self, **source: Any) -> None:
        """Create a data source."""
        requests.post(
            f"{self.url}/api/datasources", json=source, auth=(USER, PASSWORD), timeout=10
        ).raise_for_status()


def grafana(programs: Programs, folder: Path, ports: Ports) -> Grafana:
    """Return Grafana as the project provisions it, at the data sources of these ports."""
    sources = {
        f"http://{name}:{port}": f"http://127.0.0.1:{own}"
        for name, port, own in (
            ("prometheus", 9090, ports.prometheus),
            ("loki", 3100, ports.loki),
            ("tempo", 3200, ports.tempo),
            ("alertmanager", 9093, ports.alertmanager),
        )
    }
    boards = shortened_boards(folder / "dashboards")
    files = {
        # Prometheus scrapes each second.
        "datasources/datasources.yaml": {**sources, "timeInterval: 60s": "timeInterval: 1s"},
        "dashboards/dashboards.yaml": {MOUNTED: str(boards)},
    }
    for name, changes in files.items():
        path = folder / "provisioning" / name
        path.parent.mkdir(parents=True)
        path.write_text(substituted(f"grafana/provisioning/{name}", changes), encoding="utf-8")
    environment = COMPOSE["grafana"]["environment"]
    stated = {name: text.replace(MOUNTED, str(boards)) for name, text in environment.items()}
    return _grafana(programs, folder, ports.grafana, stated)


def bare_grafana(programs: Programs, folder: Path, port: int) -> Grafana:
    """Return Grafana as somebody else runs it: without data sources and dashboards."""
    (folder / "provisioning").mkdir(parents=True)
    private = ("GF_ANALYTICS_", "GF_NEWS_", "GF_PLUGINS_", "GF_SECURITY_")
    environment = COMPOSE["grafana"]["environment"]
    stated = {name: text for name, text in environment.items() if name.startswith(private)}
    return _grafana(programs, folder, port, stated)


def _grafana(programs: Programs, folder: Path, port: int, stated: Mapping[str, str]) -> Grafana:
    program = programs["grafana"].resolve()
    home = program.parents[1] if (program.parents[1] / "public").is_dir() else PACKAGED
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        **stated,
        **PRIVATE,
        "GF_SECURITY_ADMIN_PASSWORD": PASSWORD,
        "GF_PATHS_DATA": f"{folder}/data",
        "GF_PATHS_LOGS": f"{folder}/logs",
        "GF_PATHS_PLUGINS": f"{folder}/plugins",
        "GF_PATHS_PROVISIONING": f"{folder}/provisioning",
        "GF_LOG_MODE": "console",
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        # The websocket of a page is accepted from this origin only.
        "GF_SERVER_ROOT_URL": f"{url}/",
    }
    command = [str(program), "server", f"--homepath={home}"]
    return Grafana("grafana", command, folder, url, "/api/health", environment)
