"""The commands of the documentation that ask Prometheus or Alertmanager work, by their own tools."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.demo.gateway import DemoGateway
from tests.process import program
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.servers import wait_until
from tests.verify.docs.commands import Run, commands, run_script, scripts
from tests.verify.docs.pages import Block

LONG_DAY = 86_400.0
"""Seconds; in its first hours all is well."""
BLOCKS = [block for block in commands() if scripts(block, Run.STACK)]


@dataclass(frozen=True)
class Place:
    """Where commands run, what addresses become, and the environment."""

    folder: Path
    changes: Mapping[str, str]
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def place(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An exporter in front of a demo gateway, Prometheus with the project's rules, and Alertmanager."""
    folder, ports = tmp_path_factory.mktemp("commands"), servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, LONG_DAY))
        exporter = links.enter_context(program(**exporter_environment(gateway.url, ports)))
        url = exporter.url()
        alertmanager = links.enter_context(servers.alertmanager(programs, folder / "alertmanager", ports))
        changes = {"evaluation_interval: 30s": "evaluation_interval: 1s"}
        address = url.removeprefix("http://")
        prometheus = links.enter_context(
            servers.prometheus(programs, folder / "prometheus", ports, address, changes)
        )
        wait_until(lambda: prometheus.get("/api/v1/query", query="gatewayz_up")["data"]["result"])
        tools = {programs[name].parent for name in ("promtool", "amtool")}
        yield Place(
            folder,
            {
                "http://localhost:8001": url,
                "http://localhost:9090": prometheus.url,
                "http://localhost:9093": alertmanager.url,
                "SLUG": "groq",
            },
            {"PATH": ":".join([*map(str, tools), os.environ["PATH"]]), "HOME": str(folder), "USER": "reader"},
        )


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_commands_work(place: Place, block: Block) -> None:
    """The commands of a block that ask these servers end well."""
    for script in scripts(block, Run.STACK):
        run_script(script, place.changes, place.folder, place.environment)


def test_a_failure_is_seen(place: Place) -> None:
    """A query that is no PromQL, and a silence without a comment, fail."""
    for script in (
        "promtool query instant http://localhost:9090 'sum('",
        "amtool --alertmanager.url=http://localhost:9093 silence add provider=SLUG",
    ):
        with pytest.raises(AssertionError):
            run_script(script, place.changes, place.folder, place.environment)
