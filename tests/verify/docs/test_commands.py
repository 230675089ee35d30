"""What a reader types works: every command is run here or by `make stack`, or the page says that none is.

It is run in a copy of the project, next to an exporter and a demo gateway in which all is well. Addresses of
examples become theirs; nothing else of a command is changed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.demo.gateway import DemoGateway
from tests.grafana.double import PASSWORD, TOKEN, GrafanaDouble
from tests.process import program
from tests.stack.servers import free_port
from tests.verify.docs.commands import Run, beginning, commands, left_out, run_by, run_script, scripts
from tests.verify.docs.pages import ROOT, Block

KEY = "key-of-the-documentation"
LONG_DAY = 86_400.0
"""Seconds; in its first hours all is well."""
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")
CONSOLE_SCRIPT = '#!/bin/sh\nexec python -m exporter "$@"\n'
"""In place of what an installation as a package makes; it is proved with the package."""

HERE = [block for block in commands() if scripts(block, Run.HERE)]


@dataclass(frozen=True)
class Sandbox:
    """Where commands run: a copy of the project, what addresses become, and the environment."""

    folder: Path
    changes: Mapping[str, str]
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A copy of the project, an exporter, a demo gateway and a Grafana of recordings."""
    folder, port = tmp_path_factory.mktemp("docs") / "project", free_port()
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    for name in (".env.example", ".env.demo"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    script = folder / "provider-metrics-exporter"
    script.write_text(CONSOLE_SCRIPT)
    script.chmod(0o755)
    with DemoGateway(KEY, LONG_DAY) as gateway, GrafanaDouble() as grafana:
        variables = {
            "GATEWAY_API_URL": gateway.url,
            "ADMIN_KEY": KEY,
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(port),
        }
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
            yield Sandbox(folder, changes, {"PATH": path, "HOME": str(folder), **variables})


@pytest.mark.parametrize("block", HERE, ids=lambda block: block.where)
def test_commands_work(sandbox: Sandbox, block: Block) -> None:
    """The commands of a block end well."""
    for script in scripts(block, Run.HERE):
        run_script(script, sandbox.changes, sandbox.folder, sandbox.environment)


def test_something_is_run() -> None:
    """The sandbox sees commands of many pages: a mistake in the reading of pages would see none."""
    assert {"README.md", "docs/troubleshooting.md", "docs/security.md"} <= {block.page for block in HERE}


def test_a_failure_is_seen(sandbox: Sandbox) -> None:
    """A command that finds nothing, or does not exist, fails."""
    for script in ("curl -s http://localhost:8001/metrics | grep no_such_metric", "no-such-program\ntrue"):
        with pytest.raises(AssertionError):
            run_script(script, sandbox.changes, sandbox.folder, sandbox.environment)


@pytest.mark.parametrize("script", ["rm /no/such/file", "touch ~/file", "true\ncp -r '/no/such' here"])
def test_nothing_outside_is_touched(sandbox: Sandbox, script: str) -> None:
    """What names a path of the machine is not run."""
    with pytest.raises(AssertionError, match="may change the machine"):
        run_script(script, sandbox.changes, sandbox.folder, sandbox.environment)


def test_what_is_left_out_is_used() -> None:
    """Each row of the table of commands that no test runs is about a command that is there."""
    lines = [line for block in commands() for line in block.lines()]

    assert set(left_out()) == {start for line in lines if (start := beginning(line))}


@pytest.mark.parametrize(
    ("line", "who"),
    [
        ("curl -s http://localhost:8001/metrics", Run.HERE),
        ("curl -s http://localhost:9090/api/v1/targets", Run.STACK),
        ("promtool query instant http://localhost:9090 up", Run.STACK),
        ("NAME=value OTHER='a b' docker compose up -d", Run.NOBODY),
        ("make demo", Run.NOBODY),
        ("makeshift", Run.HERE),
    ],
)
def test_who_runs(line: str, who: Run) -> None:
    """A line is judged by its program and by the servers that it asks."""
    assert who is run_by(line)


def test_make_verbs() -> None:
    """Every `make` of a page has its rule in the Makefile, and every rule is on a page."""
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    texts = [page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    used = {verb for text in texts for verb in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)}

    assert set(rules) == used


def test_a_loop_is_one_command() -> None:
    """A loop, and a command that goes on after a backslash, are judged and run as a whole."""
    text = "for name in a b; do\n  echo \\\n    $name\ndone\n# a comment\nfalse"

    assert ["for name in a b; do   echo     $name; done", "false"] == Block("page", 1, "sh", text).lines()
