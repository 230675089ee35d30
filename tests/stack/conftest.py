"""The stack, started once for all tests that do not change it; skips tests whose programs are missing."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.chromium import chromium
from tests.stack.boards import Boards, running_boards
from tests.stack.build import NoToolchainError
from tests.stack.chain import Chain, chain
from tests.stack.chart import HELMS, Helm, Rendered
from tests.stack.cluster import Cluster, running_cluster
from tests.stack.machine import Found, all_programs, described, find_all
from tests.stack.servers import Programs

UNSHARED = frozenset({"test_intervals.py", "test_outages.py", "test_rules.py"})
"""Files whose tests share no server."""
SHARING = {"test_board_links.py": "test_boards.py", "test_kubernetes_page.py": "test_cluster.py"}
"""Files whose tests use the servers of another file's."""
SKIPPED = re.compile(r"Skipped: no (\S+) on this machine")


def report(line: str) -> None:
    """Print a line at once, although pytest captures output: builds take minutes."""
    os.write(2, f"{line}\n".encode())


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of tests that need a program of the machine."""
    config.addinivalue_line("markers", "needs(*programs): left out where the machine lacks one of them")


class ByServers(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests of a file in one process, since they share servers, except for `UNSHARED`.

    The marker `xdist_group` of pytest-xdist 3.8 has no effect with pytest 9.2, without a warning.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what tests of one process have in common."""
        file = nodeid.partition("::")[0].rpartition("/")[2]
        return nodeid if file in UNSHARED else SHARING.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServers:
    """Return how tests are spread over processes."""
    return ByServers(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Print the found programs, and skip tests that need others; runs after the deselection."""
    chosen = [item for item in items if item.get_closest_marker("stack")]
    if chosen:
        found = find_all()
        if not is_worker(config):
            report("\n".join(described(found)))
        leave_out(chosen, found)


def is_worker(config: pytest.Config) -> bool:
    """Return whether this is one of several processes: `tests.stack.machine` has printed the programs."""
    return hasattr(config, "workerinput")


def leave_out(items: Sequence[pytest.Item], found: Mapping[str, Found]) -> None:
    """Skip the tests that need a program which was not found."""
    for item in items:
        needed = [name for marker in item.iter_markers("needs") for name in marker.args]
        if missing := next((name for name in needed if name not in found), None):
            item.add_marker(pytest.mark.skip(reason=f"no {missing} on this machine"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the names of skipped tests at the end of the output, by the program that they lack."""
    names: dict[str, Counter[str]] = {}
    for skipped in terminalreporter.stats.get("skipped", []):
        if match := SKIPPED.match(str(skipped.longrepr[2])):
            names.setdefault(match[1], Counter())[skipped.nodeid.partition("[")[0]] += 1
    for program, tests in names.items():
        terminalreporter.section(f"left out: no {program} on this machine")
        for name, count in tests.items():
            terminalreporter.write_line(f"{name} ({count})" if count > 1 else name)


@pytest.fixture(scope="session")
def programs() -> Mapping[str, Path]:
    """The programs of the real servers; without a Go toolchain the tests are skipped, but fail in CI."""
    try:
        return all_programs(report)
    except NoToolchainError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The shared chain, without Prometheus and Alertmanager."""
    with chain(programs, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def boards(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    """Grafana with the dashboards, after all states of the demo that they are shown in."""
    with running_boards(programs, tmp_path_factory.mktemp("boards")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def cluster(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The API server; tests use namespaces of their own."""
    with running_cluster(programs, tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of the test."""
    return cluster.namespace()


@pytest.fixture
def helms(programs: Mapping[str, Path], tmp_path: Path) -> Mapping[str, Helm]:
    """Every helm by its name."""
    return {name: Helm(programs[name], tmp_path) for name in HELMS}


@pytest.fixture
def rendered(helms: Mapping[str, Helm]) -> Rendered:
    """Renders the chart with the newest helm."""
    return Rendered(helms[HELMS[0]])
