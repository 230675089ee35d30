"""The commands of the documentation that ask Prometheus or Alertmanager work, by their own tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from exporter.demo.gateway import DemoGateway
from tests.process import program
from tests.stack import servers
from tests.stack.chain import KEY, exporter_environment
from tests.stack.servers import Programs
from tests.verify.docs.commands import Place, Run, commands, run_script, scripts
from tests.verify.docs.pages import Block
from tests.waiting import wait_until

LONG_DAY = 86_400.0
"""Seconds; in its first hours all is well."""
BLOCKS = [block for block in commands() if scripts(block, Run.STACK)]


@pytest.fixture(scope="module")
def place(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An exporter in front of a demo gateway, Prometheus with the project's rules, and Alertmanager."""
    folder, ports = tmp_path_factory.mktemp("commands"), servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, LONG_DAY))
        exporter = links.enter_context(program(**exporter_environment(gateway.url, ports)))
        address = exporter.address()
        alertmanager = links.enter_context(servers.alertmanager(programs, folder / "alertmanager", ports))
        own = folder / "prometheus"
        prometheus = links.enter_context(servers.prometheus(programs, own, ports, address))
        wait_until(lambda: prometheus.query("gatewayz_up"))
        tools = {programs[name].parent for name in ("promtool", "amtool")}
        yield Place(
            folder,
            {
                "http://localhost:8001": f"http://{address}",
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
        run_script(script, place)
