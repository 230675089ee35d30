"""Custom metrics as frozen values: their definitions, and their series in an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec

from exporter.model.endpoints import Endpoint


class Expression(Protocol):
    """A compiled path into a record; expressions with the same text are equal."""

    def evaluate(self, record: object) -> object:
        """Return the value at the path in a JSON value, None if there is none.

        Raises:
            ValueError: When the expression cannot be evaluated for this record.
        """


class CustomKind(StrEnum):
    """A number, or texts in the labels of a metric whose value is 1."""

    GAUGE = "gauge"
    INFO = "info"


class DropReason(StrEnum):
    """Why a value of a custom metric was dropped: label `reason`."""

    INVALID = "invalid"
    """Not a finite number, or a label that is not a string, number or boolean."""
    TOO_MANY_LABEL_VALUES = "too_many_label_values"
    OUT_OF_TIME = "out_of_time"


@dataclass(frozen=True, slots=True)
class ExtractedLabel:
    """A label whose value comes from the record."""

    name: str
    path: Expression
    max_values: int
    """Largest number of different values at a time, over all series."""


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """One custom metric."""

    name: str
    help: str
    kind: CustomKind
    source: Endpoint
    """Of the records: the providers of the list, or the counts."""
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
    """Series of one custom metric in an answer."""

    samples: tuple[CustomSample, ...] = ()
    dropped: Mapping[DropReason, int] = field(default_factory=lambda: MappingProxyType({}))
    """Number of dropped values by reason."""
    records: int = 0
    """Number of records that were read."""

    @property
    def matches_nothing(self) -> bool:
        """Whether no record has a value, not even an invalid one."""
        return self.records > 0 and not self.samples and not self.dropped


NO_SERIES = CustomSeries()
CustomReadings = Mapping[CustomMetric, CustomSeries]
NO_READINGS: CustomReadings = MappingProxyType({})
