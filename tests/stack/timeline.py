"""Which alerts fire when: the real exporter in moved time, scraped on paper, its rules evaluated by promtool.

A scenario says what the gateway, the exporter and its job do at a moment. The exporter polls with a clock
that is moved, its exposition is read at each scrape, and the series become the input of promtool.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from unittest.mock import MagicMock, patch

import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import load_settings
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import GatewayClient, Reply
from exporter.metrics.exposition import Exposition
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.rig import Rig, rig
from tests.stack.fleet import bodies
from tests.stack.substitution import ROOT

RULE_FILES = sorted((ROOT / "prometheus/rules").glob("*.yml"))
RESOLUTION = 5
"""Seconds between two places for a sample."""
EVALUATION = 30
PROVIDERS = ("x", "y", "z")
GOT = re.compile(r"expr: .*?, time: (\S+),\s+exp: ?nil\s+got: ?(.*?)(?=\n\s*\n|\n\s+expr:|\Z)", re.DOTALL)
ALERT = re.compile(r'alertname="(\w+)"(?:, job="([^"]*)")?(?:, provider="([^"]*)")?')
NOT_IN_RULES = ("_bucket", "_count", "_sum")
"""Endings of series that no rule reads."""
UNIT_SECONDS = {"h": 3600, "m": 60, "s": 1}

Labels = tuple[tuple[str, str], ...]
Series = dict[tuple[str, Labels], dict[int, float | None]]
"""Values by time in seconds, None for a staleness marker."""


@dataclass(frozen=True)
class World:
    """What is true at one moment."""

    gateway: Outcome = Outcome.OK
    """How every fetch ends."""
    health: Mapping[str, str] = field(default_factory=dict)
    """By slug, where it is not healthy."""
    is_alive: bool = True
    """Whether the exporter answers."""
    process: int = 0
    """Which process it is; with another number the exporter was restarted."""
    has_target: bool = True
    """Whether Prometheus knows of it."""


Scenario = Callable[[float], World]


@dataclass(frozen=True)
class Pace:
    """How often the gateway is polled and the exporter scraped, in seconds."""

    poll: int
    scrape: int
    phase: int
    """From a poll to the scrape after it, `RESOLUTION` at least."""

    @property
    def name(self) -> str:
        """Short text for a test's id."""
        return f"{self.poll}s-{self.scrape}s+{self.phase}"

    def scrapes(self, end: int) -> Iterator[int]:
        """Yield the seconds of all scrapes; every other one is late, as far as there is room."""
        late = RESOLUTION if self.scrape >= 4 * RESOLUTION else 0
        for number, second in enumerate(range(self.phase, end, self.scrape)):
            yield second + late * (number % 2)


class EpochClock(MovedClock):
    """A clock whose dates begin at 0, where promtool's time begins."""

    def date(self) -> float:
        """Return the Unix time."""
        return self.now


def series(
    scenario: Scenario, pace: Pace, end: int, job: str = "provider_metrics", instance: str = "a"
) -> Series:
    """Return what Prometheus scrapes of one exporter until `end`, in seconds.

    An exporter that was dead is a new process, which polls when it starts.
    """
    clock = EpochClock()
    found: Series = defaultdict(dict)
    polls = ((second, False) for second in range(0, end, pace.poll))
    events = sorted([*polls, *((second, True) for second in pace.scrapes(end))])
    seen: set[tuple[str, Labels]] = set()
    label = (("instance", instance), ("job", job))
    exporter = _Exporter(scenario, pace, clock, label)
    for second, is_scrape in events:
        clock.now = float(second)
        world = scenario(second)
        exporter.live(world.process if world.is_alive else None)
        if is_scrape:
            samples = exporter.scrape() if world.is_alive and world.has_target else {}
            if world.has_target:
                samples["up", label] = float(world.is_alive)
            for key in seen - set(samples):
                found[key][second] = None
            for key, value in samples.items():
                found[key][second] = value
            seen = set(samples)
        else:
            exporter.poll()
    exporter.live(None)
    return found


class _Exporter:
    """One exporter, a new process whenever it starts; an exposition is read once, however often scraped."""

    def __init__(self, scenario: Scenario, pace: Pace, clock: EpochClock, label: Labels) -> None:
        self._scenario = scenario
        self._clock = clock
        self._label = label
        self._settings = load_settings(
            {
                "GATEWAY_API_URL": "https://gateway.example",
                "ADMIN_KEY": "test-admin-key",
                "SCRAPE_INTERVAL": str(pace.poll),
            }
        )
        self._process = ExitStack()
        self._rig: Rig | None = None
        self._number: int | None = None
        self._exposition: Exposition | None = None
        self._samples: dict[tuple[str, Labels], float] = {}

    def live(self, process: int | None) -> None:
        """Start the process with this number and end any other one."""
        if process == self._number:
            return
        self._process.close()
        self._rig, self._number = None, process
        if process is not None:
            self._process.enter_context(patch("exporter.poll.poller.GatewayClient", self._client))
            self._rig = self._process.enter_context(rig(self._settings, self._clock, export=False))
            self._rig.poller.poll_once()

    def poll(self) -> None:
        """Poll the gateway."""
        if self._rig is not None:
            self._rig.poller.poll_once()

    def scrape(self) -> dict[tuple[str, Labels], float]:
        """Return the samples of one scrape."""
        assert self._rig is not None
        published = self._rig.poller.published
        if self._clock.age() >= published.current.snapshot.stale_at:
            self._rig.poller.publish()
        if published.current is not self._exposition:
            self._exposition, self._samples = published.current, self._read(self._rig)
        return dict(self._samples)

    def _client(self, endpoint: Endpoint, *more: object) -> MagicMock:
        return MagicMock(
            spec=GatewayClient,
            get=lambda deadline: self._reply(endpoint),
            abort=lambda: GatewayError(Outcome.TIMEOUT, "cut"),
        )

    def _reply(self, endpoint: Endpoint) -> Reply:
        now = self._clock.date()
        world = self._scenario(now)
        if world.gateway not in (Outcome.OK, Outcome.EMPTY):
            raise GatewayError(world.gateway, "as the scenario says")
        slugs = PROVIDERS if world.gateway is Outcome.OK else ()
        health = {slug: world.health.get(slug, "healthy") for slug in slugs}
        body = bodies(health, datetime.fromtimestamp(now - 60, UTC))[endpoint]
        return Reply(body, 200, 1, None)

    def _read(self, exporter: Rig) -> dict[tuple[str, Labels], float]:
        lines = [line.rsplit(" ", 1) for line in exporter.text.splitlines() if line.startswith("gatewayz_")]
        found = {_name_and_labels(text, self._label): float(value) for text, value in lines}
        return {key: value for key, value in found.items() if not key[0].endswith(NOT_IN_RULES)}


@cache
def _name_and_labels(text: str, label: Labels) -> tuple[str, Labels]:
    """Return name and labels of a series; parsed once, since most of the time is spent here."""
    (family,) = text_string_to_metric_families(f"{text} 0\n")
    (sample,) = family.samples
    return sample.name, tuple(sorted({**sample.labels, **dict(label)}.items()))


def firing(
    promtool: Path, folder: Path, inputs: Sequence[Series], end: int, rules: Sequence[Path] = ()
) -> dict[tuple[str, ...], list[tuple[float, float]]]:
    """Return when each alert fires, as spans in minutes, by alert name and, where it has one, provider.

    Args:
        promtool: The program.
        folder: Takes the file that it reads.
        inputs: Series of all exporters and servers.
        end: Seconds to look at.
        rules: More rule files, those of an operator.
    """
    merged: Series = {key: values for one in inputs for key, values in one.items()}
    moments = range(0, end, 60)
    expression = (
        'count by (alertname, job, provider) (ALERTS{alertstate="firing", alertname!="GatewayzWatchdog"})'
    )
    document = {
        "rule_files": [str(path) for path in (*RULE_FILES, *rules)],
        "evaluation_interval": f"{EVALUATION}s",
        "tests": [
            {
                "interval": f"{RESOLUTION}s",
                "input_series": [
                    {"series": _selector(key), "values": _values(values, end)}
                    for key, values in merged.items()
                ],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": f"{moment}s", "exp_samples": []} for moment in moments
                ],
            }
        ],
    }
    path = folder / "timeline.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    result = subprocess.run(
        [str(promtool), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0 or "got:" in output, output[-4000:]
    return {alert: spans(minutes, 1) for alert, minutes in _minutes(output).items()}


def _minutes(output: str) -> Mapping[tuple[str, ...], set[int]]:
    """Return the minutes at which each alert fires, read from what promtool found unexpected."""
    minutes: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for time, got in GOT.findall(output):
        minute = sum(int(n) * UNIT_SECONDS[unit] for n, unit in re.findall(r"(\d+)([hms])", time)) // 60
        for name, job, provider in ALERT.findall(got):
            minutes[tuple(filter(None, (name, job, provider)))].add(minute)
    return minutes


def spans(times: Iterable[float], gap: float) -> list[tuple[float, float]]:
    """Return first and last time of each run of times that are at most a gap apart."""
    found: list[tuple[float, float]] = []
    for when in sorted(times):
        if found and when - found[-1][1] <= gap:
            found[-1] = (found[-1][0], when)
        else:
            found.append((when, when))
    return found


def _selector(key: tuple[str, Labels]) -> str:
    name, labels = key
    return f"{name}{{{', '.join(f'{label}={json.dumps(text)}' for label, text in labels)}}}"


def _values(values: Mapping[int, float | None], end: int) -> str:
    """Return a series in promtool's notation."""
    texts: list[str] = []
    last = -1
    for second, value in sorted(values.items()):
        place = second // RESOLUTION
        if place - last > 1:
            texts.append(f"_x{place - last - 1}")
        texts.append("stale" if value is None else f"{value:.17g}")
        last = place
    return " ".join(texts)
