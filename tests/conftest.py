"""What several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis

from exporter.config.environment import prepare
from exporter.config.settings import Settings, load_settings
from tests.clocks import MovedClock
from tests.replay import ReplayGateway
from tests.rig import Rig, rig

KEY = "test-admin-key"
TESTS = Path(__file__).parent
MARKED = ("stack", "faults", "verify")

REPEATABLE = hypothesis.get_profile("ci")
hypothesis.register_profile("quick", REPEATABLE, max_examples=50)
hypothesis.register_profile("search", REPEATABLE, derandomize=False, max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let what was seen be written down: the matrix of faults, and what is on /metrics."""
    parser.addoption("--matrix", metavar="FILE", help="document that takes the matrix of faults")
    parser.addoption("--golden", action="store_true", help="write the golden expositions anew")


def pytest_configure() -> None:
    """Take away what the person's environment says to the SDK; the instrumentations read it only once."""
    for name in [name for name in os.environ if name.startswith("OTEL_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    prepare(os.environ)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the folders that `make test` leaves out with the name of their folder."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in MARKED:
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Undo what a command that runs within a test changes in the environment of the process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def gateway() -> Iterator[ReplayGateway]:
    """A gateway that answers with the good recordings, by way of its redirect."""
    with ReplayGateway() as running:
        yield running


@pytest.fixture
def clock() -> MovedClock:
    """A clock that the test moves."""
    return MovedClock()


@pytest.fixture
def settings_for(gateway: ReplayGateway) -> Callable[..., Settings]:
    """Return settings that point to the replaying gateway, with more variables as keywords."""

    def load(**variables: str) -> Settings:
        return load_settings({"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": KEY, **variables})

    return load


@pytest.fixture
def running(settings_for: Callable[..., Settings], clock: MovedClock) -> Iterator[Rig]:
    """An exporter in front of the replaying gateway, before its first poll."""
    with rig(settings_for(), clock) as put_together:
        yield put_together
