"""Fixtures and options of several test files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis

from exporter.config.environment import prepare
from exporter.config.settings import Settings, load_settings
from tests.certificates import Folder
from tests.clocks import MovedClock
from tests.faults.peer import Gateway
from tests.otlp import OtlpReceiver
from tests.replay import KEY, ReplayGateway
from tests.rig import Rig, rig

TESTS = Path(__file__).parent
MARKED = ("stack", "faults", "verify", "browser")

REPEATABLE = hypothesis.get_profile("ci")
hypothesis.register_profile("quick", REPEATABLE, max_examples=50)
hypothesis.register_profile("search", REPEATABLE, derandomize=False, max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options that write the matrix of faults, and the golden expositions."""
    parser.addoption("--matrix", metavar="FILE", help="document that takes the matrix of faults")
    parser.addoption("--golden", action="store_true", help="write the golden expositions anew")


def pytest_configure() -> None:
    """Set a time zone far from UTC, which no time may depend on, and remove variables of SDK and proxies."""
    os.environ["TZ"] = "FAR-9"
    time.tzset()
    # The instrumentations read them only once.
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
    """Restores the environment of the process after a command that runs within a test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def gateway() -> Iterator[ReplayGateway]:
    """A gateway that answers with the good recordings, including its redirect."""
    with ReplayGateway() as running:
        yield running


@pytest.fixture
def clock() -> MovedClock:
    """A clock that the test moves."""
    return MovedClock()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A receiver for all exported signals of this process."""
    with OtlpReceiver() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A directory with new certificates."""
    return Folder(tmp_path)


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


@pytest.fixture
def peer() -> Iterator[Gateway]:
    """A scripted server, at first a good gateway."""
    with Gateway() as running:
        yield running
