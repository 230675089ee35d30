"""Tests of `exporter.metrics.exposition`."""

from __future__ import annotations

import contextlib
import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any
from unittest.mock import Mock

import pytest
from prometheus_client import Metric, core
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics

from exporter.metrics import compression
from exporter.metrics import exposition as module
from exporter.metrics.exposition import CHUNK_BYTES, Exposition, Format, Variant
from exporter.model.snapshot import Snapshot

VARIANTS = tuple(Variant(format_, compressed) for format_ in Format for compressed in (False, True))
TEXT, TEXT_GZIP, OPENMETRICS, OPENMETRICS_GZIP = VARIANTS
DUE_AT = 1000.0
every_variant = pytest.mark.parametrize(
    "variant", VARIANTS, ids=["text", "text, gzip", "OpenMetrics", "OpenMetrics, gzip"]
)


def gauge(name: str = "gatewayz_up") -> GaugeMetricFamily:
    """Return a family with one sample."""
    return GaugeMetricFamily(name, "Whether it works.", value=1)


def many(name: str, value: float = 1) -> GaugeMetricFamily:
    """Return a family that fills a chunk."""
    family = GaugeMetricFamily(name, "Many.", labels=["provider"])
    for number in range(CHUNK_BYTES // 32):
        family.add_metric([f"provider-{number:05}"], value)
    return family


def exposition(*families: Metric, previous: Exposition | None = None) -> Exposition:
    """Return an exposition of these families, by default one gauge."""
    return Exposition(families or (gauge(),), Snapshot(), DUE_AT, previous)


def test_content_types() -> None:
    """The content types are those that Prometheus expects."""
    assert "text/plain; version=0.0.4; charset=utf-8" == Format.TEXT.value
    assert "application/openmetrics-text; version=1.0.0; charset=utf-8" == Format.OPENMETRICS.value


@pytest.mark.parametrize(("compressed", "plain"), [(TEXT_GZIP, TEXT), (OPENMETRICS_GZIP, OPENMETRICS)])
def test_gzip(compressed: Variant, plain: Variant) -> None:
    """A gzip body is smaller and contains the plain body; its timestamp is 0, so equal bodies stay equal."""
    many = exposition(*(gauge(f"gatewayz_{number}") for number in range(50)))

    body = many.encode(compressed)

    assert many.encode(plain) == gzip.decompress(body)
    assert len(body) < len(many.encode(plain)) / 2
    assert b"\0\0\0\0" == body[4:8]


def test_unchanged_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only chunks with a changed family are compressed again; each body is whole."""
    large = [many(f"gatewayz_{letter}") for letter in "acd"]
    small = [gauge("gatewayz_b"), gauge("gatewayz_e")]
    first = exposition(*sorted([*large, *small], key=attrgetter("name")))
    deflate = Mock(side_effect=compression.deflate)
    monkeypatch.setattr(module, "deflate", deflate)

    first.encode(TEXT_GZIP)
    before = deflate.call_count
    changed = many("gatewayz_c", value=2)
    second = exposition(large[0], small[0], changed, large[2], small[1], previous=first)
    body = second.encode(TEXT_GZIP)

    assert second.encode(TEXT) == gzip.decompress(body)
    assert [True, False] == [
        call.args[0].startswith(b"# HELP gatewayz_c ") for call in deflate.call_args_list[before:]
    ]
    assert 6 == before


def test_chunks_that_are_gone() -> None:
    """Compressed chunks of families that have changed are freed."""
    first = exposition(many("gatewayz_a"), many("gatewayz_b"))
    first.encode(TEXT_GZIP)

    second = exposition(many("gatewayz_a"), many("gatewayz_b", value=2), previous=first)

    assert 1 == len(second._deflated)


@every_variant
def test_encoded_once(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variant is encoded once: concurrent and later calls return the same object."""
    fresh, start, meeting, made = exposition(), threading.Barrier(4), threading.Barrier(2), list[Variant]()
    encode = Exposition._encode

    def encode_slowly(self: Exposition, variant: Variant) -> bytes:
        made.append(variant)
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=0.2)
        return encode(self, variant)

    monkeypatch.setattr(Exposition, "_encode", encode_slowly)

    def ask() -> bytes:
        start.wait(timeout=5)
        return fresh.encode(variant)

    with ThreadPoolExecutor(4) as pool:
        bodies = [future.result(timeout=5) for future in [pool.submit(ask) for _ in range(4)]]

    assert {id(fresh.encoded(variant))} == {id(body) for body in [*bodies, fresh.encode(variant)]}
    assert 1 == made.count(variant)


@every_variant
def test_samples_are_encoded_at_once(variant: Variant) -> None:
    """Samples are encoded once for all formats, when the exposition is created."""
    family = gauge()
    fresh = exposition(family)
    family.samples.clear()

    assert exposition().encode(variant) == fresh.encode(variant)


def test_unchanged_family() -> None:
    """Lines of unchanged families, and metadata of changed ones, are reused from the previous exposition."""
    first, same, other, renamed = gauge(), gauge(), gauge(), gauge()
    other.samples[0] = other.samples[0]._replace(value=0.0)
    renamed.documentation = "Another help."
    parts = []
    before: Exposition | None = None
    for family in (first, same, other, renamed):
        before = exposition(family, previous=before)
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
        core.CounterMetricFamily("a", "Counts.", value=3),
        core.HistogramMetricFamily("a", "Measures.", buckets=[("0.5", 1), ("+Inf", 2)], sum_value=1.5),
        core.InfoMetricFamily("a", "Tells.", value={"version": "1"}),
    ],
    ids=["backslash", "quotes", "unit", "counter", "histogram", "info"],
)
def test_bodies_are_those_of_the_encoders(family: Metric) -> None:
    """Bodies equal those of the encoders of prometheus_client."""
    family.samples = [*family.samples, family.samples[0]._replace(labels={"b": '\\ \n " ü', "a": ""})]
    registry: Any = type("Registry", (), {"collect": lambda self: [family, gauge("z")]})()

    bodies = [exposition(family, gauge("z")).encode(variant) for variant in (TEXT, OPENMETRICS)]

    assert [encode_text(registry), encode_openmetrics(registry)] == bodies


def test_requested() -> None:
    """`encoded` records the request without encoding; `encode` does not record it."""
    fresh = exposition()
    assert frozenset() == fresh.requested

    fresh.encode(TEXT_GZIP)

    assert [None] * 2 == [fresh.encoded(OPENMETRICS_GZIP) for _ in range(2)]
    assert fresh.encoded(TEXT)
    assert {TEXT, OPENMETRICS_GZIP} == fresh.requested


@pytest.mark.parametrize(
    ("seconds", "overdue"),
    [(-1, False), (0, False), (59.999, False), (60, True), (1e6, True)],
    ids=["fresh", "due", "in grace", "end of grace", "long ago"],
)
def test_overdue(seconds: float, overdue: bool) -> None:
    """An exposition is overdue a minute after it is due."""
    assert overdue is exposition().is_overdue(DUE_AT + seconds)
