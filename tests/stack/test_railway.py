"""The images for Railway run with real servers, which find each other by IPv6 addresses alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.namespaces import UNSHARE, require_namespaces
from tests.stack.railway import PORTS
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT


@pytest.fixture(scope="module")
def seen(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The output of the program in its namespaces."""
    require_namespaces()
    folder = str(tmp_path_factory.mktemp("railway"))
    command = [*UNSHARE, sys.executable, "-m", "tests.stack.railway", folder]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert 0 == result.returncode, result.stderr
    return json.loads(result.stdout)


def test_every_server_listens_twice(seen: Any) -> None:
    """Each is ready by its name, which is an IPv6 address, or nothing were seen; and by IPv4 as well."""
    assert dict.fromkeys(PORTS, 200) == {"loki": 200, **seen["by_ipv4"]}


def test_prometheus_finds_the_others(seen: Any) -> None:
    """It scrapes all that run here by their names in Railway, and sends its alerts there."""
    up = ("provider_metrics", "prometheus", "alertmanager", "otel-collector")
    loki = {"loki": "up" if "loki" in seen["by_ipv4"] else "down"}
    others = dict.fromkeys(("tempo", "grafana"), "down")
    assert dict.fromkeys(up, "up") | loki | others == seen["targets"]
    assert ["http://alertmanager.railway.internal:9093/api/v2/alerts"] == seen["alertmanagers"]


def test_secret_of_a_variable_becomes_a_file(seen: Any) -> None:
    """Alertmanager has the channel of the variable SLACK_API_URL, and no log shows what was in it."""
    assert 1 == seen["slack"]
    assert [] == [service for service, log in seen["logs"].items() if "hidden" in log]
