"""The servers of one diagnosis, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.config.settings import Settings
from exporter.doctor.checks import CHECKS, run_checks
from exporter.doctor.context import Context
from exporter.doctor.report import Finding, Result, State
from exporter.doctor.targets import EXPORTER, GRAFANA, Targets
from exporter.files.secret import Secret
from exporter.model.snapshot import Snapshot
from exporter.transport.auth import Credentials
from tests.clocks import MovedClock
from tests.doctor.backends import Backend

EXPORTER_PASSWORD = "very-secret-word"
GRAFANA_TOKEN = "glsa_token-that-nobody-prints"
CREDENTIALS: Mapping[str, Credentials] = {
    EXPORTER: Credentials("scraper", Secret(EXPORTER_PASSWORD)),
    GRAFANA: Credentials(None, Secret(GRAFANA_TOKEN)),
}


def unexpected_poll(settings: Settings) -> Snapshot:
    """Fail: these checks do not poll the gateway."""
    raise AssertionError(settings)


def failing(results: Mapping[str, Result]) -> dict[str, State]:
    """Return the states of the checks that neither passed nor were skipped."""
    states = {name: result.finding.state for name, result in results.items()}
    return {name: state for name, state in states.items() if state not in (State.OK, State.SKIPPED)}


@dataclass
class Chain:
    """The servers behind the exporter."""

    backends: dict[str, Backend]
    clock: MovedClock
    environ: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, Credentials] = field(default_factory=lambda: dict(CREDENTIALS))
    job: str = "provider_metrics"
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def answers(self, server: str) -> dict[str, Any]:
        """Return the answers of a server by path, to be changed."""
        return self.backends[server].answers

    def run(self, **context: Any) -> dict[str, Result]:
        """Return the results by check, those of settings, files and gateway left out."""
        urls = {name: backend.url for name, backend in self.backends.items()}
        targets = Targets(urls, self.credentials, self.job, self.headers)
        checks = [one for one in CHECKS if one.server or one.name == "clocks"]
        results = run_checks(Context(self.environ, targets, self.clock, unexpected_poll, **context), checks)
        return {result.check: result for result in results}

    def finding(self, check: str, **context: Any) -> Finding:
        """Return the finding of a check."""
        return self.run(**context)[check].finding

    def found(self, *checks: str) -> list[str]:
        """Return what the checks found."""
        results = self.run()
        return [results[name].finding.found for name in checks]
