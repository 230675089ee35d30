"""Tests of the values and labels of custom metrics."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from exporter.clock import Clock
from exporter.gateway.decode import decode, parse
from exporter.metrics.custom.values import MAX_SECONDS, MAX_TEXT, CustomValues
from exporter.model.custom import NO_SERIES, CustomMetric, CustomReadings, CustomSeries, DropReason
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.metrics.custom.metrics import gauge, info, label

STATS = {"total": 4, "active": 3, "inactive": 1, "healthy": 1, "degraded": 1, "down": 1, "unknown": 1}
TIER, COLOR = label("tier", max_values=1), label("color", max_values=1)


def read_with(
    values: CustomValues,
    metrics: tuple[CustomMetric, ...],
    document: object,
    endpoint: Endpoint = Endpoint.PROVIDERS,
) -> CustomReadings:
    """Return the series of metrics in an answer."""
    parsed = parse(json.dumps(document).encode() if not isinstance(document, bytes) else document)
    return values.read(metrics, endpoint, parsed, decode(endpoint, parsed))


def series(clock: Clock, metric: CustomMetric, *rows: object) -> CustomSeries:
    """Return the series of a metric in a list."""
    return read_with(CustomValues(clock), (metric,), list(rows))[metric]


def providers(read: CustomSeries) -> list[str]:
    """Return the providers of the series."""
    return [sample.labels["provider"] for sample in read.samples]


@pytest.mark.parametrize(
    ("path", "values", "numbers", "dropped"),
    [
        # A number is the value; true and false are 1 and 0.
        ("v", (5, 0, -1.5, True, False), {"p0": 5.0, "p1": 0.0, "p2": -1.5, "p3": 1.0, "p4": 0.0}, 0),
        ("v", (2**53, 1e300), {"p0": 2.0**53, "p1": 1e300}, 0),
        # Null and a missing key have no series and are not counted.
        ("v", (None, 1), {"p1": 1.0}, 0),
        ("missing", (1, 2), {}, 0),
        ("length(v)", (None, ["a", "b"]), {"p1": 2.0}, 0),
        # Values that are not numbers or beyond a float, and records that the path cannot be evaluated for.
        *(("v", (value, 1), {"p1": 1.0}, 1) for value in ("5", "", [], [1], {}, {"a": 1}, 10**400)),
        ("length(v)", (5, "ab"), {"p1": 2.0}, 1),
    ],
)
def test_values(
    clock: MovedClock, path: str, values: tuple[object, ...], numbers: dict[str, float], dropped: int
) -> None:
    """The value is the number at the path; drops and counts other values, except null and missing ones."""
    rows = [{"slug": f"p{number}", "v": value} for number, value in enumerate(values)]

    read = series(clock, gauge(path), *rows)

    assert numbers == {sample.labels["provider"]: sample.value for sample in read.samples}
    assert ({DropReason.INVALID: dropped} if dropped else {}) == read.dropped


@pytest.mark.parametrize("text", [b"1e999", b"-1e999"])
def test_number_beyond_a_double(clock: MovedClock, text: bytes) -> None:
    """Drops a number beyond a double instead of publishing infinity."""
    metric = gauge("v")

    read = read_with(CustomValues(clock), (metric,), b'[{"slug":"a","v":%b}]' % text)[metric]

    assert CustomSeries((), {DropReason.INVALID: 1}, records=1) == read


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

    samples = series(clock, gauge("v"), *rows).samples

    assert [(1.0, "a"), (6.0, "b")] == [(sample.value, sample.labels["provider"]) for sample in samples]


def test_stats(clock: MovedClock) -> None:
    """The counts have one series without the label `provider`; paths can read any key."""
    impaired = gauge("sum([degraded, down])", source=Endpoint.STATS)
    extra = gauge("extra", name="gatewayz_extra", source=Endpoint.STATS)
    metrics = (impaired, extra, gauge("total", name="gatewayz_of_the_list"))

    read = read_with(CustomValues(clock), metrics, {**STATS, "extra": 7}, Endpoint.STATS)

    assert {impaired: [(2.0, {})], extra: [(7.0, {})]} == {
        metric: [(sample.value, sample.labels) for sample in found.samples] for metric, found in read.items()
    }


# Labels


def test_labels(clock: MovedClock) -> None:
    """The labels are `provider`, the constant labels and the extracted labels, in this order."""
    metric = gauge("v", constant_labels=(("source", "metadata"),), labels=(label("tier", "metadata.tier"),))

    (sample,) = series(clock, metric, {"slug": "a", "v": 1, "metadata": {"tier": "fast"}}).samples

    assert [("provider", "a"), ("source", "metadata"), ("tier", "fast")] == list(sample.labels.items())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((text, text) for text in ("fast", "", "a" * MAX_TEXT, 'q"\\\n')),
        *((None, ""), (4, "4"), (-0.5, "-0.5"), (True, "true"), (False, "false")),
        *(([], None), ({}, None), (["a"], None), ("a" * (MAX_TEXT + 1), None), (10**400, None)),
    ],
)
def test_label_values(clock: MovedClock, value: object, text: str | None) -> None:
    """A label value is a string, number or boolean as in JSON, empty for null; drops and counts others."""
    rows = [{"slug": "a", "v": 1, "tier": value}, {"slug": "b", "v": 1, "tier": "x"}]

    read = series(clock, gauge("v", labels=(label("tier"),)), *rows)

    tiers = ["x"] if text is None else [text, "x"]
    assert tiers == [sample.labels["tier"] for sample in read.samples]
    assert ({DropReason.INVALID: 1} if text is None else {}) == read.dropped


def test_labels_of_a_missing_value(clock: MovedClock) -> None:
    """A series without a value is not counted as dropped, and its labels do not count."""
    rows = [{"slug": "a", "tier": []}, {"slug": "b", "tier": "x"}, {"slug": "c", "v": 1, "tier": "y"}]

    read = series(clock, gauge("v", labels=(TIER,)), *rows)

    assert (["c"], {}) == (providers(read), read.dropped)


def test_max_values(clock: MovedClock) -> None:
    """Drops and counts series with a new label value beyond `max_values`; known values remain."""
    tiers = enumerate(["a", "b", "c", "a", None, "d"])
    rows = [{"slug": f"p{number}", "v": 1, "tier": tier} for number, tier in tiers]

    read = series(clock, gauge("v", labels=(label("tier", max_values=2),)), *rows)

    assert ["p0", "p1", "p3", "p4"] == providers(read)
    assert {DropReason.TOO_MANY_LABEL_VALUES: 2} == read.dropped


def test_dropped_series_do_not_count(clock: MovedClock) -> None:
    """A label value counts only if its series is published, which the other labels must allow."""
    metric = gauge("v", labels=(TIER, COLOR))
    values = CustomValues(clock)
    found = []
    for slugs in (["xr"], ["xs", "yr"], ["xs", "yr"], ["yr"]):
        rows = [{"slug": slug, "v": 1, "tier": slug[0], "color": slug[1]} for slug in slugs]
        found.append(providers(read_with(values, (metric,), rows)[metric]))

    assert [["xr"], [], ["xs"], ["yr"]] == found


def test_max_values_of_each_metric_and_label(clock: MovedClock) -> None:
    """`max_values` counts for each metric and label separately."""
    one = gauge("v", labels=(TIER, COLOR))
    other = gauge("v", name="gatewayz_other", labels=(label("tier", "color", max_values=1),))

    read = read_with(CustomValues(clock), (one, other), [{"slug": "a", "v": 1, "tier": "x", "color": "y"}])

    assert [["a"], ["a"]] == [providers(read[metric]) for metric in (one, other)]


def test_removed_metric(clock: MovedClock) -> None:
    """Discards the label values of a metric that was removed."""
    values, metric, other = CustomValues(clock), gauge("v", labels=(TIER,)), gauge("v")
    one, two = ({"slug": tier, "v": 1, "tier": tier} for tier in "ab")
    read_with(values, (metric,), [one])
    read_with(values, (other,), [])

    assert ["b"] == providers(read_with(values, (metric,), [two, one])[metric])


def test_info(clock: MovedClock) -> None:
    """The value of an info metric is 1; it has no series if all labels are empty."""
    rows = [{"slug": "a", "tier": "x", "color": "y"}, {"slug": "b", "tier": "z"}, {"slug": "c"}]

    read = series(clock, info(label("tier"), label("color")), *rows)

    a, b = {"provider": "a", "tier": "x", "color": "y"}, {"provider": "b", "tier": "z", "color": ""}
    assert [(1.0, a), (1.0, b)] == [(sample.value, sample.labels) for sample in read.samples]
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
