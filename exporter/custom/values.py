"""Custom metrics read from an answer of the gateway: numbers and labels, or a reason to leave them out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from exporter.clock import Clock
from exporter.custom.metric import (
    NO_READINGS,
    CustomKind,
    CustomMetric,
    CustomMetrics,
    CustomReadings,
    CustomSample,
    CustomSeries,
    DropReason,
    ExtractedLabel,
)
from exporter.endpoints import Endpoint
from exporter.snapshot import Answer, ProviderList

MAX_TEXT = 256
"""Characters of a label's value."""
MOST_SECONDS = 5.0
"""For all custom metrics of one answer: what is not read by then is left out."""

Record = tuple[Mapping[str, str], object]
"""The labels that every series of it has, and the record as the gateway sent it."""


class CustomValues:
    """Reads custom metrics, and knows which values their labels have had; for the poller's thread alone."""

    def __init__(self, clock: Clock) -> None:
        """Know of no values."""
        self._clock = clock
        self._values: defaultdict[tuple[CustomMetric, str], set[str]] = defaultdict(set)

    def read(
        self, metrics: CustomMetrics, endpoint: Endpoint, document: object, answer: Answer
    ) -> CustomReadings:
        """Return what the metrics of an endpoint find in its answer.

        Args:
            metrics: All that are defined; values of labels of others are forgotten.
            endpoint: Where the answer comes from.
            document: The answer as parsed JSON.
            answer: What it was decoded to.
        """
        defined = set(metrics)
        for key in [key for key in self._values if key[0] not in defined]:
            del self._values[key]
        asked = [metric for metric in metrics if metric.source is endpoint]
        if not asked:
            return NO_READINGS
        records = _records(document, answer)
        end = self._clock.age() + MOST_SECONDS
        return MappingProxyType({metric: self._series(metric, records, end) for metric in asked})

    def _series(self, metric: CustomMetric, records: Sequence[Record], end: float) -> CustomSeries:
        samples: list[CustomSample] = []
        dropped: Counter[DropReason] = Counter()
        for number, record in enumerate(records):
            if self._clock.age() >= end:
                dropped[DropReason.OUT_OF_TIME] = len(records) - number
                break
            found = self._sample(metric, record)
            if isinstance(found, DropReason):
                dropped[found] += 1
            elif found is not None:
                samples.append(found)
        return CustomSeries(tuple(samples), MappingProxyType(dict(dropped)))

    def _sample(self, metric: CustomMetric, record: Record) -> CustomSample | DropReason | None:
        """Return a series, None where the gateway says nothing, or why it is left out."""
        labels, content = record
        try:
            value = 1.0 if metric.path is None else _number(metric.path.evaluate(content))
            if value is None:
                return None
            found = {label.name: _text(label.path.evaluate(content)) for label in metric.labels}
        except ValueError:
            return DropReason.INVALID
        if metric.kind is CustomKind.INFO and not any(found.values()):
            return None
        if not all(self._admits(metric, label, found[label.name]) for label in metric.labels):
            return DropReason.TOO_MANY_LABEL_VALUES
        return CustomSample(value, {**labels, **dict(metric.constant_labels), **found})

    def _admits(self, metric: CustomMetric, label: ExtractedLabel, text: str) -> bool:
        """Tell whether a label may have a value: once its bound is reached, only those that it has had."""
        known = self._values[metric, label.name]
        if text and len(known) < label.max_values:
            known.add(text)
        return not text or text in known


def _records(document: object, answer: Answer) -> Sequence[Record]:
    """Return the record of every provider that was decoded, or the one of the counts."""
    if not isinstance(answer, ProviderList):
        return [({}, document)]
    rows = document if isinstance(document, list) else []
    # Of two with the same slug the first is the provider.
    by_slug = {row["slug"]: row for row in reversed(rows) if isinstance(row, dict) and _has_slug(row)}
    return [({"provider": provider.slug}, by_slug[provider.slug]) for provider in answer.providers]


def _has_slug(row: Mapping[str, object]) -> bool:
    return isinstance(row.get("slug"), str)


def _number(value: object) -> float | None:
    """Return a value as the number of a sample, true and false as 1 and 0."""
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise ValueError
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError from error
    if not math.isfinite(number):
        raise ValueError
    return number


def _text(value: object) -> str:
    """Return a value as that of a label, empty where there is none; JSON's words for true and false."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        _number(value)
        return str(value)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError
    return value
