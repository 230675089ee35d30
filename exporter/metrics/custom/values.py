"""Values and labels of custom metrics in an answer of the gateway, or the reason why one is dropped."""

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
"""Characters of a label value."""
MAX_SECONDS = 5.0
"""For all custom metrics of one answer; the rest is dropped."""

Record = tuple[Mapping[str, str], object]
"""Labels of all series of a record, and the record as JSON."""


class CustomValues:
    """Reads custom metrics, and stores the label values of the last answer; not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        """Begin without label values."""
        self._clock = clock
        self._live: dict[CustomMetric, Mapping[str, Set[str]]] = {}
        """Label values in the last answer, by name of the label."""

    def read(
        self, metrics: CustomMetrics, endpoint: Endpoint, document: object, answer: Answer
    ) -> CustomReadings:
        """Return the series of the metrics of an endpoint.

        Args:
            metrics: All defined metrics. The label values of any others are discarded.
            endpoint: Of the answer.
            document: The answer as parsed JSON.
            answer: The answer as decoded.
        """
        defined = set(metrics)
        self._live = {metric: live for metric, live in self._live.items() if metric in defined}
        read = [metric for metric in metrics if metric.source is endpoint]
        if not read:
            return NO_READINGS
        records = _records(document, answer)
        end = self._clock.age() + MAX_SECONDS
        return MappingProxyType({metric: self._series(metric, records, end) for metric in read})

    def _series(self, metric: CustomMetric, records: Sequence[Record], end: float) -> CustomSeries:
        dropped: Counter[DropReason] = Counter()
        found = self._found(metric, records, end, dropped)
        samples = _bounded(metric, found, self._live.get(metric, {}))
        if len(samples) < len(found):
            dropped[DropReason.TOO_MANY_LABEL_VALUES] = len(found) - len(samples)
        self._live[metric] = {label.name: _values(samples, label) for label in metric.labels}
        return CustomSeries(tuple(samples), MappingProxyType(dict(dropped)), len(records))

    def _found(
        self, metric: CustomMetric, records: Sequence[Record], end: float, dropped: Counter[DropReason]
    ) -> list[CustomSample]:
        """Return the series of the records before `end`, and count dropped values."""
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
    """Return a series, None if the gateway has no value.

    Raises:
        ValueError: When the value is not a number, or a label is not a scalar.
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
    """Return the series within `max_values`; label values of the last answer take precedence."""
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
    """Return the records of the decoded providers, or that of the counts."""
    if not isinstance(answer, ProviderList):
        return [({}, document)]
    rows = document if isinstance(document, list) else []
    # The first of several rows with the same slug is the provider.
    by_slug = {row["slug"]: row for row in reversed(rows) if isinstance(row, dict) and _has_slug(row)}
    return [({"provider": provider.slug}, by_slug[provider.slug]) for provider in answer.providers]


def _has_slug(row: Mapping[str, object]) -> bool:
    return isinstance(row.get("slug"), str)


def _number(value: object) -> float | None:
    """Return the value of a sample; true and false are 1 and 0."""
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
    """Return the value of a label, empty for null; booleans as in JSON."""
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
