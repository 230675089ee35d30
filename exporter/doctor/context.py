"""What the checks of `doctor` are given and what they leave for those after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.doctor.probe import Reply, get
from exporter.doctor.targets import Addresses
from exporter.model.snapshot import Snapshot
from exporter.transport.authorities import find_authorities

T = TypeVar("T")

PATIENCE_SECONDS = 15.0
"""How long a record or a trace may be on its way: it leaves in batches, and is stored in others."""
NOTHING: Mapping[str, str | list[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Page:
    """What the exporter says of itself on `/metrics`; times are Unix seconds by its own clock."""

    version: str | None
    """None: the page is not that of this exporter."""
    up: bool
    fetches: float
    """Fetches since the start, failed ones included."""
    listed: float | None
    started: float | None
    last_update: float | None
    now: float
    """By the exporter's clock, or by ours where it does not tell."""


@dataclass(frozen=True, slots=True)
class PollRecord:
    """A poll in Loki."""

    trace_id: str
    """Empty where spans are off."""
    logged: float
    """Unix time by the exporter's clock."""


@dataclass
class Case:
    """One walk: where to ask, and what was learned on the way."""

    environ: Mapping[str, str]
    addresses: Addresses
    clock: Clock
    poll: Callable[[Settings], Snapshot]
    settings: Settings | None = None
    snapshot: Snapshot | None = None
    page: Page | None = None
    record: PollRecord | None = None
    ahead: dict[str, float] = field(default_factory=dict)
    """Seconds that the clock of a server is ahead of ours, by stage."""

    def ask(self, stage: str, path: str, parameters: Mapping[str, str | list[str]] = NOTHING) -> Reply:
        """Ask a server that has an address.

        Raises:
            NoAnswer: When it does not answer well.
        """
        url = self.addresses.urls[stage] + path
        identity = self.addresses.identities.get(stage)
        reply = get(url, self.clock, parameters, identity, authorities=find_authorities(self.environ))
        if reply.date is not None:
            self.ahead[stage] = reply.date - self.clock.date()
        return reply

    def ask_for(
        self, kind: type[T], stage: str, path: str, parameters: Mapping[str, str | list[str]] = NOTHING
    ) -> T:
        """Ask a server that has an address for a JSON document.

        Raises:
            NoAnswer: When it does not answer well, or with something else.
        """
        return self.ask(stage, path, parameters).decoded(kind)

    def now(self, stage: str) -> float:
        """Return the Unix time by the clock of a server, as far as it is known."""
        return self.clock.date() + self.ahead.get(stage, 0.0)

    def patiently(self, look: Callable[[], T], has_come: Callable[[T], bool]) -> T:
        """Look again and again until what is on its way has come, or the patience is over."""
        end = self.clock.age() + PATIENCE_SECONDS
        while not has_come(seen := look()) and self.clock.age() < end:
            self.clock.sleep(1.0)
        return seen
