"""The stack, started once for all tests that leave it whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.stack.build import NoToolchainError, build_all
from tests.stack.chain import Chain, chain
from tests.stack.chart import HELMS, Helm, Rendered


def report(line: str) -> None:
    """Tell a person who waits for a build, past what pytest captures."""
    os.write(2, f"{line}\n".encode())


@pytest.fixture(scope="session")
def programs() -> Mapping[str, Path]:
    """The programs of the real servers; without a Go toolchain everything here is skipped, but not in CI."""
    try:
        return build_all(report)
    except NoToolchainError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The chain that tests share; Prometheus and Alertmanager are started by those that need them."""
    with chain(programs, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def helms(programs: Mapping[str, Path], tmp_path: Path) -> Mapping[str, Helm]:
    """Every helm by its name."""
    return {name: Helm(programs[name], tmp_path) for name in HELMS}


@pytest.fixture
def rendered(helms: Mapping[str, Helm]) -> Rendered:
    """Renders the chart with the newest helm."""
    return Rendered(helms[HELMS[0]])
