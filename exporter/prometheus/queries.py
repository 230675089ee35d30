"""Queries of recorded series (prometheus/rules/recording.yml), and their answers as values by provider.

The HTTP API is documented at https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from exporter.clock import Clock
from exporter.config.prometheus import PrometheusSettings
from exporter.model.history import Slot
from exporter.model.provider import HealthStatus
from exporter.transport.authorities import Authorities
from exporter.transport.probe import get

WINDOWS: Mapping[str, str] = MappingProxyType({"24h": "1d", "14d": "14d", "30d": "30d"})
"""Windows of long uptimes, and the ending of their recorded series; shortest first."""
REQUEST_SECONDS = 20.0
"""A query of a day for 10,000 providers takes some seconds."""
POLLS = "count_over_time(job_provider:gatewayz_usable:bool{%s}[%s])"
USABLE = "sum_over_time(job_provider:gatewayz_usable:bool{%s}[%s])"
HEALTH = "max_over_time(job_provider:gatewayz_health_status:max{%s}[%s])"
LEAST_HEALTH = "min_over_time(job_provider:gatewayz_health_status:max{%s}[%s])"
RESPONSE_TIME = "1000 * avg_over_time(job_provider:gatewayz_response_time_seconds:max{%s}[%s])"
UPTIME = "job_provider:gatewayz_uptime:ratio%s{%s}"

Matrix = Mapping[str, Mapping[int, float]]
"""By provider, values by number of the slot."""


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    result: list[_Series]


class _Answer(msgspec.Struct):
    data: _Data


class Prometheus:
    """Queries one server; each query is limited in time and size."""

    def __init__(
        self, settings: PrometheusSettings, clock: Clock, authorities: Authorities | None = None
    ) -> None:
        """Send no request yet."""
        self._settings = settings
        self._clock = clock
        self._authorities = authorities
        self._job = f"job={json.dumps(settings.job)}"

    def slots(self, oldest: int, newest: int, seconds: float) -> Mapping[str, tuple[Slot, ...]]:
        """Return the slots of each provider for which there are data.

        A slot has the largest number of its healths, so an unknown one counts less than a healthy one.

        Args:
            oldest: Number of the first slot: its start in seconds since 1970, divided by its length.
            newest: Number of the last one.
            seconds: Length of a slot.

        Raises:
            ProbeError: When a query fails.
        """
        polls, usable, health, least, times = (
            self._range(query, oldest, newest, seconds)
            for query in (POLLS, USABLE, HEALTH, LEAST_HEALTH, RESPONSE_TIME)
        )
        return {
            provider: tuple(
                Slot(
                    number * seconds,
                    HealthStatus(int(value)),
                    round(polls.get(provider, {}).get(number, 0)),
                    round(usable.get(provider, {}).get(number, 0)),
                    times.get(provider, {}).get(number),
                    is_steady=least.get(provider, {}).get(number) == value,
                )
                for number, value in values.items()
                if value in tuple(HealthStatus)
            )
            for provider, values in health.items()
        }

    def uptimes(self) -> Mapping[str, Mapping[str, float]]:
        """Return the uptime of each provider in each window, as a share.

        Raises:
            ProbeError: When a query fails.
        """
        return {
            window: {
                provider: value
                for provider, value in self._instant(UPTIME % (ending, self._job)).items()
                if 0 <= value <= 1
            }
            for window, ending in WINDOWS.items()
        }

    def _range(self, query: str, oldest: int, newest: int, seconds: float) -> Matrix:
        """Evaluate a query at the end of each slot."""
        length = f"{round(seconds * 1000)}ms"
        start, end = ((number + 1) * seconds for number in (oldest, newest))
        parameters = {"query": query % (self._job, length), "start": f"{start}", "end": f"{end}"}
        answer = self._get("query_range", {**parameters, "step": f"{seconds}"})
        return {
            provider: {
                round(date / seconds) - 1: value
                for date, text in series.values
                if (value := _number(text)) is not None
            }
            for provider, series in _by_provider(answer)
        }

    def _instant(self, query: str) -> Mapping[str, float]:
        answer = self._get("query", {"query": query})
        found = ((provider, series.value) for provider, series in _by_provider(answer) if series.value)
        return {provider: value for provider, sample in found if (value := _number(sample[1])) is not None}

    def _get(self, path: str, parameters: Mapping[str, str]) -> _Answer:
        settings = self._settings
        return get(
            f"{settings.url}/api/v1/{path}",
            self._clock,
            dict(parameters),
            settings.access.credentials,
            REQUEST_SECONDS,
            self._authorities,
            settings.access.headers,
        ).decode(_Answer)


def _by_provider(answer: _Answer) -> Iterator[tuple[str, _Series]]:
    for series in answer.data.result:
        if provider := series.metric.get("provider"):
            yield provider, series


def _number(text: str) -> float | None:
    """Return a finite number that is not negative, None for others."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
