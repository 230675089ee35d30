"""Custom metrics, as a person defines them and as they are read from an answer: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec

from exporter.model.endpoints import Endpoint


class Expression(Protocol):
    """A compiled path into a record; equal if made from the same text."""

    def evaluate(self, record: object) -> object:
        """Return the value at the path in a JSON value, None if there is none.

        Raises:
            ValueError: When it cannot be evaluated for this record.
        """


class CustomKind(StrEnum):
    """What a custom metric tells: a number, or, as labels of a 1, texts."""

    GAUGE = "gauge"
    INFO = "info"


class DropReason(StrEnum):
    """Why a value of a custom metric was left out: label `reason`."""

    INVALID = "invalid"
    """No finite number, or a label that is no text, number or boolean."""
    TOO_MANY_LABEL_VALUES = "too_many_label_values"
    OUT_OF_TIME = "out_of_time"


@dataclass(frozen=True, slots=True)
class ExtractedLabel:
    """A label whose value stands in the record."""

    name: str
    path: Expression
    max_values: int
    """Different values that it may have at a time, all series together."""


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """One custom metric."""

    name: str
    help: str
    kind: CustomKind
    source: Endpoint
    """Whose records it is read from: each provider of the list, or the one of the counts."""
    path: Expression | None
    """None for an info metric, whose value is 1."""
    constant_labels: tuple[tuple[str, str], ...]
    labels: tuple[ExtractedLabel, ...]


CustomMetrics = tuple[CustomMetric, ...]


class CustomSample(msgspec.Struct, frozen=True):
    """One series of a custom metric."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CustomSeries:
    """What one custom metric found in an answer."""

    samples: tuple[CustomSample, ...] = ()
    dropped: Mapping[DropReason, int] = field(default_factory=lambda: MappingProxyType({}))
    """How many values were left out, by reason."""


NO_SERIES = CustomSeries()
CustomReadings = Mapping[CustomMetric, CustomSeries]
NO_READINGS: CustomReadings = MappingProxyType({})
