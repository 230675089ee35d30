"""Commands on the pages succeed here or in `make stack`, or are listed as not tested.

They run in a copy of the project with an exporter and a healthy demo gateway. Only addresses are replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.demo.gateway import DemoGateway
from tests.grafana.double import PASSWORD, TOKEN, GrafanaDouble
from tests.http_server import free_port
from tests.process import program
from tests.verify.docs.commands import Place, Run, beginning, commands, left_out, run_script, scripts
from tests.verify.docs.pages import ROOT, Block

KEY = "key-of-the-documentation"
LONG_DAY = 86_400.0
"""Seconds; everything is healthy in its first hours."""
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")
CONSOLE_SCRIPT = '#!/bin/sh\nexec python -m exporter "$@"\n'
"""Replaces the console script of the package, which another test covers."""

HERE = [block for block in commands() if scripts(block, Run.HERE)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A copy of the project with an exporter, a demo gateway and a stub of Grafana."""
    folder, port = tmp_path_factory.mktemp("docs") / "project", free_port()
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    for name in (".env.example", ".env.demo"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    script = folder / "provider-metrics-exporter"
    script.write_text(CONSOLE_SCRIPT)
    script.chmod(0o755)
    with DemoGateway(KEY, LONG_DAY) as gateway, GrafanaDouble() as grafana:
        variables = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": KEY}
        variables |= {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(port)}
        changes = {
            "https://example.com/grafana": grafana.url,
            "https://grafana.example.com": grafana.url,
            "https://api.example.com": gateway.url,
            "GRAFANA_TOKEN=...": f"GRAFANA_TOKEN={TOKEN}",
            "GRAFANA_ADMIN_PASSWORD=...": f"GRAFANA_ADMIN_PASSWORD='{PASSWORD}'",
            "ADMIN_KEY=...": f"ADMIN_KEY={KEY}",
            "http://localhost:8001": f"http://127.0.0.1:{port}",
            "SLUG": "groq",
        }
        path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        with program(**variables) as exporter:
            exporter.record("Updated provider metrics")
            yield Place(folder, changes, {"PATH": path, "HOME": str(folder), **variables})


@pytest.mark.parametrize("block", HERE, ids=lambda block: block.where)
def test_commands_work(sandbox: Place, block: Block) -> None:
    """The commands of a block succeed."""
    for script in scripts(block, Run.HERE):
        run_script(script, sandbox)


def test_pages_have_commands() -> None:
    """The parser finds commands on several pages."""
    assert {"README.md", "docs/troubleshooting.md", "docs/security.md"} <= {block.page for block in HERE}


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("curl -s http://localhost:8001/metrics | grep no_such_metric", "exit code 1"),
        ("no-such-program\ntrue", "exit code 127"),
        ("rm /no/such/file", "may change the machine"),
        ("touch ~/file", "may change the machine"),
        ("true\ncp -r '/no/such' here", "may change the machine"),
    ],
)
def test_failures(sandbox: Place, script: str, error: str) -> None:
    """A command that fails is detected; one with a path outside the project is not run."""
    with pytest.raises(AssertionError, match=error):
        run_script(script, sandbox)


def test_exclusions_are_used() -> None:
    """Each row of the table of commands that no test runs matches a command."""
    lines = [line for block in commands() for line in block.lines()]

    assert set(left_out()) == {start for line in lines if (start := beginning(line))}


def test_make_verbs() -> None:
    """The targets on the pages are those of the Makefile."""
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    texts = [page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    used = {verb for text in texts for verb in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)}

    assert set(rules) == used
