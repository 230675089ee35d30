"""Walks of `doctor` along servers that a test makes good or bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from exporter.config.settings import Settings
from exporter.doctor.checks import CHECKS, walk
from exporter.doctor.context import Case
from exporter.doctor.report import Result, State
from exporter.doctor.targets import EXPORTER, GRAFANA, Addresses, Identity
from exporter.files.secret import Secret
from exporter.model.snapshot import Snapshot
from tests.clocks import MovedClock
from tests.doctor.backends import Backend, good_answers

EXPORTER_PASSWORD = "very-secret-word"
GRAFANA_TOKEN = "glsa_token-that-nobody-prints"
IDENTITIES: Mapping[str, Identity] = {
    EXPORTER: Identity("scraper", Secret(EXPORTER_PASSWORD)),
    GRAFANA: Identity(None, Secret(GRAFANA_TOKEN)),
}


def nobody_polls(settings: Settings) -> Snapshot:
    """Fail: the gateway is asked only by the whole program."""
    raise AssertionError(settings)


@dataclass
class Chain:
    """The servers behind the exporter, and what a walk along them finds."""

    backends: dict[str, Backend]
    clock: MovedClock
    environ: dict[str, str] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=lambda: dict(IDENTITIES))
    job: str = "provider_metrics"

    def answers(self, stage: str) -> dict[str, Any]:
        """Return what a server answers by path, to be changed."""
        return self.backends[stage].answers

    def walk(self, **facts: Any) -> dict[str, Result]:
        """Return the results by check; `facts` are known of the case before."""
        urls = {name: backend.url for name, backend in self.backends.items()}
        addresses = Addresses(urls, self.identities, self.job)
        case = Case(self.environ, addresses, self.clock, nobody_polls, **facts)
        source = ("settings", "gateway")
        checks = [one for one in CHECKS if not one.name.startswith(source)]
        return {result.check: result for result in walk(case, checks)}

    def told(self, check: str, **facts: Any) -> tuple[State, str]:
        """Return how a check ends, and what it finds."""
        finding = self.walk(**facts)[check].finding
        return finding.state, finding.found

    def sick(self) -> dict[str, State]:
        """Return the states of checks that are neither well nor skipped, after a new walk."""
        return sick(self.walk())


def sick(results: Mapping[str, Result]) -> dict[str, State]:
    """Return the states of checks that are neither well nor skipped."""
    states = {name: result.finding.state for name, result in results.items()}
    return {name: state for name, state in states.items() if state not in (State.OK, State.SKIPPED)}


@contextmanager
def chain() -> Iterator[Chain]:
    """Start servers that are all well, by a clock that stands still."""
    clock = MovedClock()
    with ExitStack() as running:
        answers = good_answers(clock.date)
        backends = {
            stage: running.enter_context(Backend(paths, clock.date)) for stage, paths in answers.items()
        }
        yield Chain(backends, clock)
