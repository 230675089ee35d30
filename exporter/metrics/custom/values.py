"""Custom metrics read from an answer of the gateway: numbers and labels, or a reason to leave them out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from exporter.clock import Clock
from exporter.model.custom import (
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
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, ProviderList

MAX_TEXT = 256
"""Characters of a label's value."""
MOST_SECONDS = 5.0
"""For all custom metrics of one answer: what is not read by then is left out."""

Record = tuple[Mapping[str, str], object]
"""The labels that every series of it has, and the record as the gateway sent it."""


class CustomValues:
    """Reads custom metrics, and knows the live values of their labels; for the poller's thread alone."""

    def __init__(self, clock: Clock) -> None:
        """Know of no values."""
        self._clock = clock
        self._live: dict[CustomMetric, Mapping[str, Set[str]]] = {}
        """Values by label of the series in the last answer."""

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
        self._live = {metric: live for metric, live in self._live.items() if metric in defined}
        asked = [metric for metric in metrics if metric.source is endpoint]
        if not asked:
            return NO_READINGS
        records = _records(document, answer)
        end = self._clock.age() + MOST_SECONDS
        return MappingProxyType({metric: self._series(metric, records, end) for metric in asked})

    def _series(self, metric: CustomMetric, records: Sequence[Record], end: float) -> CustomSeries:
        dropped: Counter[DropReason] = Counter()
        found = self._found(metric, records, end, dropped)
        samples = _bounded(metric, found, self._live.get(metric, {}))
        if len(samples) < len(found):
            dropped[DropReason.TOO_MANY_LABEL_VALUES] = len(found) - len(samples)
        self._live[metric] = {label.name: _values(samples, label) for label in metric.labels}
        return CustomSeries(tuple(samples), MappingProxyType(dict(dropped)))

    def _found(
        self, metric: CustomMetric, records: Sequence[Record], end: float, dropped: Counter[DropReason]
    ) -> list[CustomSample]:
        """Return the series that records have, and count what is no series."""
        samples: list[CustomSample] = []
        for number, record in enumerate(records):
            if self._clock.age() >= end:
                dropped[DropReason.OUT_OF_TIME] = len(records) - number
                break
            try:
                sample = _sample(metric, record)
            except ValueError:
                dropped[DropReason.INVALID] += 1
                continue
            if sample is not None:
                samples.append(sample)
        return samples


def _sample(metric: CustomMetric, record: Record) -> CustomSample | None:
    """Return a series, None where the gateway says nothing.

    Raises:
        ValueError: When the value is no number, or a label is no text.
    """
    labels, content = record
    value = 1.0 if metric.path is None else _number(metric.path.evaluate(content))
    if value is None:
        return None
    found = {label.name: _text(label.path.evaluate(content)) for label in metric.labels}
    if metric.kind is CustomKind.INFO and not any(found.values()):
        return None
    return CustomSample(value, {**labels, **dict(metric.constant_labels), **found})


def _bounded(
    metric: CustomMetric, found: Sequence[CustomSample], live: Mapping[str, Set[str]]
) -> list[CustomSample]:
    """Return the series within the bounds of their labels: values of the last answer first, then in order."""
    if not metric.labels:
        return list(found)
    known = {label.name: _values(found, label) & live.get(label.name, set()) for label in metric.labels}
    samples = []
    for sample in found:
        texts = {label: sample.labels[label.name] for label in metric.labels}
        if all(_fits(text, known[label.name], label) for label, text in texts.items()):
            samples.append(sample)
            for label, text in texts.items():
                known[label.name] |= {text} - {""}
    return samples


def _fits(text: str, known: Set[str], label: ExtractedLabel) -> bool:
    return not text or text in known or len(known) < label.max_values


def _values(samples: Sequence[CustomSample], label: ExtractedLabel) -> set[str]:
    return {sample.labels[label.name] for sample in samples} - {""}


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
