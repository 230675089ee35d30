"""Tests of the values and labels of custom metrics."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.clock import Clock
from exporter.gateway.decode import decode, parse
from exporter.metrics.custom.values import MAX_SECONDS, MAX_TEXT, CustomValues
from exporter.model.custom import (
    NO_SERIES,
    CustomMetric,
    CustomMetrics,
    CustomReadings,
    CustomSeries,
    DropReason,
)
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.metrics.custom.metrics import gauge, info, label

STATS = {"total": 4, "active": 3, "inactive": 1, "healthy": 1, "degraded": 1, "down": 1, "unknown": 1}

Found = tuple[dict[str, float], dict[str, int]]


def read_with(
    values: CustomValues, metrics: CustomMetrics, document: object, endpoint: Endpoint = Endpoint.PROVIDERS
) -> CustomReadings:
    """Return the series of metrics in an answer."""
    parsed = parse(json.dumps(document).encode() if not isinstance(document, bytes) else document)
    return values.read(metrics, endpoint, parsed, decode(endpoint, parsed))


def series(clock: Clock, metric: CustomMetric, *rows: object) -> CustomSeries:
    """Return the series of a metric in a list."""
    return read_with(CustomValues(clock), (metric,), list(rows))[metric]


def found(clock: Clock, path: str, *values: object) -> Found:
    """Return values by provider and dropped values by reason, of providers with these values at `v`."""
    rows = [{"slug": f"p{number}", "v": value} for number, value in enumerate(values)]
    read = series(clock, gauge(path), *rows)
    return (
        {sample.labels["provider"]: sample.value for sample in read.samples},
        {reason.value: count for reason, count in read.dropped.items()},
    )


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5.0), (0, 0.0), (-1.5, -1.5), (True, 1.0), (False, 0.0), (2**53, 2.0**53), (1e300, 1e300)],
)
def test_numbers(clock: MovedClock, value: object, number: float) -> None:
    """A number is the value; true and false are 1 and 0."""
    assert ({"p0": number}, {}) == found(clock, "v", value)


def test_missing_values(clock: MovedClock) -> None:
    """Null and a missing key have no series and are not counted."""
    assert ({"p1": 1.0}, {}) == found(clock, "v", None, 1)
    assert ({}, {}) == found(clock, "missing", 1, 2)
    assert ({"p1": 2.0}, {}) == found(clock, "length(v)", None, ["a", "b"])


@pytest.mark.parametrize("value", ["5", "", [], [1], {}, {"a": 1}, 10**400])
def test_invalid_values(clock: MovedClock, value: object) -> None:
    """Drops and counts values that are not numbers, or beyond a float."""
    assert ({"p1": 1.0}, {"invalid": 1}) == found(clock, "v", value, 1)


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
def test_number_beyond_a_double(clock: MovedClock, text: str) -> None:
    """Drops a number beyond a double instead of publishing infinity."""
    document = b'[{"slug":"a","v":%b}]' % text.encode()
    metric = gauge("v")

    read = read_with(CustomValues(clock), (metric,), document)[metric]

    assert CustomSeries((), {DropReason.INVALID: 1}) == read


def test_evaluation_error(clock: MovedClock) -> None:
    """Drops only the record that the path cannot be evaluated for."""
    assert ({"p1": 2.0}, {"invalid": 1}) == found(clock, "length(v)", 5, "ab")


def test_rows(clock: MovedClock) -> None:
    """Reads the rows that are providers: the first of each slug."""
    rows = [
        {"slug": "a", "v": 1},
        {"slug": "a", "v": 2},
        {"v": 3},
        4,
        {"slug": "", "v": 5},
        {"slug": "b", "v": 6},
    ]

    assert [(1.0, "a"), (6.0, "b")] == [
        (sample.value, sample.labels["provider"]) for sample in series(clock, gauge("v"), *rows).samples
    ]


def test_stats(clock: MovedClock) -> None:
    """The counts have one series without the label `provider`; paths can read any key."""
    metrics = (
        gauge("sum([degraded, down])", source=Endpoint.STATS),
        gauge("extra", name="gatewayz_extra", source=Endpoint.STATS),
        gauge("total", name="gatewayz_of_the_list"),
    )
    values = CustomValues(clock)

    read = read_with(values, metrics, {**STATS, "extra": 7}, Endpoint.STATS)

    assert [[(2.0, {})], [(7.0, {})]] == [
        [(sample.value, sample.labels) for sample in read[metric].samples] for metric in metrics[:2]
    ]
    assert metrics[2] not in read


# Labels


def labels_of(clock: Clock, metric: CustomMetric, *rows: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the labels of each series without `provider`."""
    providers = [{"slug": f"p{number}", "v": 1, **row} for number, row in enumerate(rows)]
    return [
        {name: text for name, text in sample.labels.items() if name != "provider"}
        for sample in series(clock, metric, *providers).samples
    ]


def test_labels(clock: MovedClock) -> None:
    """The labels are `provider`, the constant labels and the extracted labels, in this order."""
    metric = gauge("v", constant_labels=(("source", "metadata"),), labels=(label("tier", "metadata.tier"),))

    (sample,) = series(clock, metric, {"slug": "a", "v": 1, "metadata": {"tier": "fast"}}).samples

    assert [("provider", "a"), ("source", "metadata"), ("tier", "fast")] == list(sample.labels.items())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("fast", "fast"),
        ("", ""),
        (None, ""),
        (4, "4"),
        (-0.5, "-0.5"),
        (True, "true"),
        (False, "false"),
        ("a" * MAX_TEXT, "a" * MAX_TEXT),
        ('q"\\\n', 'q"\\\n'),
    ],
)
def test_label_values(clock: MovedClock, value: object, text: str) -> None:
    """A label value is a string, a number or a boolean as in JSON, and empty for null."""
    metric = gauge("v", labels=(label("tier"),))

    assert [{"tier": text}] == labels_of(clock, metric, {"tier": value})


@pytest.mark.parametrize("value", [[], {}, ["a"], "a" * (MAX_TEXT + 1), 10**400])
def test_invalid_label_values(clock: MovedClock, value: object) -> None:
    """Drops and counts a series with a label value that is a list, an object or too long."""
    metric = gauge("v", labels=(label("tier"),))
    rows = [{"slug": "a", "v": 1, "tier": value}, {"slug": "b", "v": 1, "tier": "x"}]

    read = series(clock, metric, *rows)

    assert (["b"], {DropReason.INVALID: 1}) == ([s.labels["provider"] for s in read.samples], read.dropped)


def test_labels_of_a_missing_value(clock: MovedClock) -> None:
    """A series without a value is not counted as dropped, and its labels do not count."""
    metric = gauge("v", labels=(label("tier", max_values=1),))
    rows = [{"slug": "a", "tier": []}, {"slug": "b", "tier": "x"}, {"slug": "c", "v": 1, "tier": "y"}]

    read = series(clock, metric, *rows)

    assert (["y"], {}) == ([sample.labels["tier"] for sample in read.samples], read.dropped)


def test_max_values(clock: MovedClock) -> None:
    """Drops and counts series with a new label value beyond `max_values`; known values remain."""
    metric = gauge("v", labels=(label("tier", max_values=2),))
    rows = [{"slug": f"p{n}", "v": n, "tier": tier} for n, tier in enumerate(["a", "b", "c", "a", None, "d"])]

    read = series(clock, metric, *rows)

    assert [0, 1, 3, 4] == [sample.value for sample in read.samples]
    assert {DropReason.TOO_MANY_LABEL_VALUES: 2} == read.dropped


def tiers(values: CustomValues, metric: CustomMetric, *answers: str) -> list[str]:
    """Return the tiers that have a series in each answer; each letter is the tier of a provider."""
    found = []
    for answer in answers:
        rows = [{"slug": f"p{n}", "v": 1, "tier": tier} for n, tier in enumerate(answer)]
        samples = read_with(values, (metric,), rows)[metric].samples
        found.append("".join(sample.labels["tier"] for sample in samples))
    return found


@pytest.mark.parametrize(
    ("answers", "published"),
    [
        (["ab", "ca", "cd", "ef"], ["ab", "ca", "cd", "ef"]),
        (["ab", "cbda", "b", "bcd"], ["ab", "ba", "b", "bc"]),
    ],
    ids=["replaced", "precedence"],
)
def test_max_values_of_the_last_answer(clock: MovedClock, answers: list[str], published: list[str]) -> None:
    """Values of the last answer take precedence over new ones, which replace those that are gone."""
    metric = gauge("v", labels=(label("tier", max_values=2),))

    assert published == tiers(CustomValues(clock), metric, *answers)


def test_dropped_series_do_not_count(clock: MovedClock) -> None:
    """A label value counts only if its series is published, which the other labels must allow."""
    metric = gauge("v", labels=(label("tier", max_values=1), label("color", max_values=1)))
    values = CustomValues(clock)
    found = []
    for rows in (["xr"], ["xs", "yr"], ["xs", "yr"], ["yr"]):
        records = [{"slug": row, "v": 1, "tier": row[0], "color": row[1]} for row in rows]
        samples = read_with(values, (metric,), records)[metric].samples
        found.append([sample.labels["provider"] for sample in samples])

    assert [["xr"], [], ["xs"], ["yr"]] == found


def test_max_values_of_each_metric_and_label(clock: MovedClock) -> None:
    """`max_values` counts for each metric and label separately."""
    one = gauge("v", labels=(label("tier", max_values=1), label("color", max_values=1)))
    other = gauge("v", name="gatewayz_other", labels=(label("tier", "color", max_values=1),))

    read = read_with(CustomValues(clock), (one, other), [{"slug": "a", "v": 1, "tier": "x", "color": "y"}])

    assert [1, 1] == [len(read[metric].samples) for metric in (one, other)]


def test_removed_metric(clock: MovedClock) -> None:
    """Discards the label values of a metric that was removed."""
    metric = gauge("v", labels=(label("tier", max_values=1),))
    values = CustomValues(clock)
    assert ["a"] == tiers(values, metric, "a")
    tiers(values, gauge("v"), "")

    assert ["b"] == tiers(values, metric, "ba")


# Info


def test_info(clock: MovedClock) -> None:
    """The value of an info metric is 1; it has no series if all labels are empty."""
    metric = info(label("tier"), label("color"))

    rows = [{"slug": "a", "tier": "x", "color": "y"}, {"slug": "b", "tier": "z"}, {"slug": "c"}]
    read = series(clock, metric, *rows)

    assert [
        (1.0, {"provider": "a", "tier": "x", "color": "y"}),
        (1.0, {"provider": "b", "tier": "z", "color": ""}),
    ] == [(sample.value, sample.labels) for sample in read.samples]
    assert {} == read.dropped


# Limits


class TickingClock(MovedClock):
    """A clock that advances by a second on each call."""

    def age(self) -> float:
        """Return seconds since the test began."""
        self.now += 1.0
        return super().age()


def test_max_seconds() -> None:
    """Drops and counts the remaining records of all metrics after `MAX_SECONDS`."""
    metrics = tuple(gauge("v", name=f"gatewayz_{letter}") for letter in "abc")
    rows = [{"slug": f"p{number}", "v": 1} for number in range(3)]

    read = read_with(CustomValues(TickingClock()), metrics, rows)

    assert 5.0 == MAX_SECONDS
    assert [3, 1, 0] == [len(read[metric].samples) for metric in metrics]
    assert [0, 2, 3] == [read[metric].dropped.get(DropReason.OUT_OF_TIME, 0) for metric in metrics]


def test_no_metrics() -> None:
    """Reads neither the answer nor the clock without custom metrics."""
    clock = TickingClock()

    assert {} == CustomValues(clock).read((), Endpoint.PROVIDERS, object(), decode(Endpoint.PROVIDERS, []))
    assert 0.0 == clock.now


def test_values_are_frozen(clock: MovedClock) -> None:
    """Series are immutable."""
    read: Any = series(clock, gauge("v"), {"slug": "a", "v": 1})

    with pytest.raises(dataclasses.FrozenInstanceError):
        read.samples = ()
    with pytest.raises(AttributeError):
        read.samples[0].value = 2.0
    with pytest.raises(TypeError):
        read.dropped["x"] = 1
    assert NO_SERIES == CustomSeries()
