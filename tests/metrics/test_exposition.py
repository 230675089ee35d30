"""Tests of `exporter.metrics.exposition`."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics

from exporter.metrics.exposition import GRACE_SECONDS, Exposition, Format, Variant
from exporter.model.snapshot import Snapshot

SNAPSHOT = Snapshot()
VARIANTS = tuple(Variant(format_, compressed) for format_ in Format for compressed in (False, True))
IDS = ("text", "text, gzip", "OpenMetrics", "OpenMetrics, gzip")
TEXT, TEXT_GZIP, OPENMETRICS, OPENMETRICS_GZIP = VARIANTS
DUE_AT = 1000.0


def gauge(name: str = "gatewayz_up") -> GaugeMetricFamily:
    """Return a family with one sample."""
    return GaugeMetricFamily(name, "Whether it works.", value=1)


def exposition(*families: Metric) -> Exposition:
    """Return an exposition of these families, by default one gauge."""
    return Exposition(families or (gauge(),), SNAPSHOT, DUE_AT)


class Counted(Exposition):
    """An exposition that records each encoding."""

    def __init__(self, *families: Metric, meeting: threading.Barrier | None = None) -> None:
        """Wait for other threads at `meeting` during each encoding."""
        super().__init__(families or (gauge(),), SNAPSHOT, DUE_AT)
        self.made: list[Variant] = []
        self._meeting = meeting

    def _encode(self, variant: Variant) -> bytes:
        self.made.append(variant)
        if self._meeting is not None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self._meeting.wait(timeout=0.2)
        return super()._encode(variant)


class CountingList(list[Any]):
    """A list that counts how often it is iterated."""

    iterations = 0

    def __iter__(self) -> Iterator[Any]:
        """Count, and iterate."""
        self.iterations += 1
        return super().__iter__()


def test_content_types() -> None:
    """The content types are those that Prometheus expects."""
    assert {
        "TEXT": "text/plain; version=0.0.4; charset=utf-8",
        "OPENMETRICS": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    } == {format_.name: format_.value for format_ in Format}


def test_text_format() -> None:
    """The text format has help, type and samples of each family in order."""
    body = exposition(gauge("b"), gauge("a")).encode(TEXT)

    assert body.decode() == (
        "# HELP b Whether it works.\n# TYPE b gauge\nb 1.0\n"
        "# HELP a Whether it works.\n# TYPE a gauge\na 1.0\n"
    )


def test_openmetrics_format() -> None:
    """OpenMetrics has a trailer."""
    body = exposition().encode(OPENMETRICS)

    expected = "# HELP gatewayz_up Whether it works.\n# TYPE gatewayz_up gauge\ngatewayz_up 1.0\n# EOF\n"
    assert expected == body.decode()


@pytest.mark.parametrize(
    ("compressed", "plain"), [(TEXT_GZIP, TEXT), (OPENMETRICS_GZIP, OPENMETRICS)], ids=["text", "OpenMetrics"]
)
def test_gzip(compressed: Variant, plain: Variant) -> None:
    """A gzip body is smaller and contains the plain body."""
    many = exposition(*(gauge(f"gatewayz_{number}") for number in range(50)))

    body = many.encode(compressed)

    assert many.encode(plain) == gzip.decompress(body)
    assert len(body) < len(many.encode(plain)) / 2


def test_gzip_has_no_timestamp() -> None:
    """The timestamp of the gzip header is 0, so equal bodies stay equal."""
    assert b"\0\0\0\0" == exposition().encode(TEXT_GZIP)[4:8]


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_encoded_once(variant: Variant) -> None:
    """Each variant is encoded once and returned as the same object."""
    fresh = Counted()

    first = fresh.encode(variant)

    assert first is fresh.encode(variant)
    assert first is fresh.encoded(variant)
    assert 1 == fresh.made.count(variant)


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_concurrent_encoding(variant: Variant) -> None:
    """Concurrent calls wait for one encoding and return the same object."""
    fresh = Counted(meeting=threading.Barrier(2))
    start = threading.Barrier(4)

    def ask() -> bytes:
        start.wait(timeout=5)
        return fresh.encode(variant)

    with ThreadPoolExecutor(4) as pool:
        bodies = [future.result(timeout=5) for future in [pool.submit(ask) for _ in range(4)]]

    assert {id(fresh.encode(variant))} == {id(body) for body in bodies}
    assert 1 == fresh.made.count(variant)


FAMILIES = (
    gauge("a"),
    CounterMetricFamily("a", "Counts.", value=3),
    HistogramMetricFamily("a", "Measures.", buckets=[("0.5", 1), ("+Inf", 2)], sum_value=1.5),
    InfoMetricFamily("a", "Tells.", value={"version": "1"}),
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.type)
def test_samples_are_encoded_once_for_all_formats(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both formats share the encoded samples."""
    samples = CountingList(family.samples)
    monkeypatch.setattr(family, "samples", samples)
    fresh = exposition(family)

    for variant in VARIANTS:
        fresh.encode(variant)

    assert 1 == samples.iterations


def test_unchanged_family() -> None:
    """Lines of unchanged families, and metadata of changed ones, are reused from the previous exposition."""
    first, same, other, renamed = gauge(), gauge(), gauge(), gauge()
    other.samples[0] = other.samples[0]._replace(value=0.0)
    renamed.documentation = "Another help."
    parts = []
    before: Exposition | None = None
    for family in (first, same, other, renamed):
        before = Exposition((family,), SNAPSHOT, DUE_AT, before)
        parts.append(before._parts[0])

    assert parts[0] is parts[1]
    assert [b"gatewayz_up 1.0\n", b"gatewayz_up 0.0\n"] == [part.samples for part in parts[1:3]]
    assert parts[1].heads is parts[2].heads
    assert b"# HELP gatewayz_up Another help.\n" == parts[3].heads[Format.TEXT].splitlines(keepends=True)[0]


@pytest.mark.parametrize(
    "family",
    [
        GaugeMetricFamily("a", "With \\ and\na second line.", value=float("nan")),
        GaugeMetricFamily("a", 'With "quotes".', value=1e300),
        GaugeMetricFamily("a_seconds", "With a unit.", value=0.1, unit="seconds"),
        *FAMILIES,
    ],
    ids=["backslash", "quotes", "unit", "gauge", "counter", "histogram", "info"],
)
def test_bodies_are_those_of_the_encoders(family: Metric) -> None:
    """Bodies equal those of the encoders of prometheus_client."""
    family.samples = [*family.samples, family.samples[0]._replace(labels={"b": '\\ \n " ü', "a": ""})]
    registry: Any = type("Registry", (), {"collect": lambda self: [family, gauge("z")]})()

    bodies = [exposition(family, gauge("z")).encode(variant) for variant in (TEXT, OPENMETRICS)]

    assert [encode_text(registry), encode_openmetrics(registry)] == bodies


def test_requested() -> None:
    """`encoded` records the request without encoding; `encode` does not record it."""
    fresh = Counted()
    assert (frozenset(), [None] * 2) == (
        fresh.requested,
        [fresh.encoded(TEXT), fresh.encoded(OPENMETRICS_GZIP)],
    )

    fresh.encode(TEXT_GZIP)

    assert {TEXT, OPENMETRICS_GZIP} == fresh.requested
    assert [TEXT_GZIP, TEXT] == fresh.made


@pytest.mark.parametrize(
    ("age", "overdue"),
    [
        (DUE_AT - 1, False),
        (DUE_AT, False),
        (DUE_AT + GRACE_SECONDS - 0.001, False),
        (DUE_AT + GRACE_SECONDS, True),
        (DUE_AT + 1e6, True),
    ],
    ids=["fresh", "due", "in grace", "end of grace", "long ago"],
)
def test_overdue(age: float, overdue: bool) -> None:
    """An exposition is overdue a minute after it is due."""
    assert 60.0 == GRACE_SECONDS
    assert overdue is exposition().is_overdue(age)


def test_families_are_copied() -> None:
    """Later changes to the list of families have no effect."""
    families: list[Metric] = [gauge("a")]
    fresh = Exposition(families, SNAPSHOT, DUE_AT)

    families.append(gauge("b"))

    assert b"TYPE b" not in fresh.encode(TEXT)


def test_variants_are_values() -> None:
    """Variants are hashable values and frozen."""
    variant: Any = Variant(Format.TEXT, gzip=True)

    assert TEXT_GZIP == variant
    assert hash(TEXT_GZIP) == hash(variant)
    with pytest.raises(dataclasses.FrozenInstanceError):
        variant.gzip = False
