"""The state of one diagnosis: targets, results of earlier checks, clock offsets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.doctor.targets import Targets
from exporter.model.snapshot import Snapshot
from exporter.transport.authorities import find_authorities
from exporter.transport.probe import Reply, get

T = TypeVar("T")

RETRY_SECONDS = 15.0
"""How long to wait for a record or a trace: both are sent and stored in batches."""
NO_PARAMETERS: Mapping[str, str | list[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Exposition:
    """What `/metrics` of the exporter contains; times are Unix seconds by the exporter's clock."""

    version: str | None
    """None: another program answered."""
    up: bool
    fetches: float
    """Fetches since the start, failed ones included."""
    listed: float | None
    started: float | None
    last_update: float | None
    now: float


@dataclass(frozen=True, slots=True)
class PollRecord:
    """A poll's log record in Loki."""

    trace_id: str
    """Empty if spans are off."""
    logged: float
    """Unix time by the exporter's clock."""


@dataclass
class Context:
    """The input of the checks, and the results that later checks need."""

    environ: Mapping[str, str]
    targets: Targets
    clock: Clock
    poll: Callable[[Settings], Snapshot]
    settings: Settings | None = None
    """None: they are invalid."""
    gateway: Settings | None = None
    """The settings for a poll, which may be valid if others are not; None: they are invalid."""
    snapshot: Snapshot | None = None
    exposition: Exposition | None = None
    record: PollRecord | None = None
    clock_offsets: dict[str, float] = field(default_factory=dict)
    """Seconds by which a server's clock is ahead of this machine's, by server."""

    def get(self, server: str, path: str, parameters: Mapping[str, str | list[str]] = NO_PARAMETERS) -> Reply:
        """Send a GET request to a server that has a URL, and record its clock offset.

        Raises:
            ProbeError: For anything but a complete reply with status 200 to 299.
        """
        url = self.targets.urls[server] + path
        credentials = self.targets.credentials.get(server)
        reply = get(
            url,
            self.clock,
            parameters,
            credentials,
            authorities=find_authorities(self.environ),
            headers=self.targets.headers.get(server, {}),
        )
        if reply.date is not None:
            self.clock_offsets[server] = reply.date - self.clock.date()
        return reply

    def get_json(
        self,
        kind: type[T],
        server: str,
        path: str,
        parameters: Mapping[str, str | list[str]] = NO_PARAMETERS,
    ) -> T:
        """Send a GET request, and return the JSON document of the reply.

        Raises:
            ProbeError: Also when the body is not a document of this type.
        """
        return self.get(server, path, parameters).decode(kind)

    def now(self, server: str) -> float:
        """Return the Unix time by a server's clock, or by this machine's if the server sent none."""
        return self.clock.date() + self.clock_offsets.get(server, 0.0)

    def retry(self, look: Callable[[], T], is_done: Callable[[T], bool]) -> T:
        """Call `look` once a second until `is_done`, for at most RETRY_SECONDS; return its last value."""
        end = self.clock.age() + RETRY_SECONDS
        while not is_done(seen := look()) and self.clock.age() < end:
            self.clock.sleep(1.0)
        return seen
