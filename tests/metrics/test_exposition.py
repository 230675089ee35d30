"""A collection is encoded once for each variant that somebody asks for."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import threading
from collections.abc import Iterator, Sequence
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

from exporter.metrics.exposition import GRACE_SECONDS, Exposition, Format, Published, Variant
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
    """Return an exposition of these families, by default of one."""
    return Exposition(families or (gauge(),), SNAPSHOT, DUE_AT)


class Counted(Exposition):
    """An exposition that counts how often it makes each body."""

    def __init__(self, *families: Metric, meeting: threading.Barrier | None = None) -> None:
        """Let each who makes a body wait for others at `meeting`, if there is one."""
        super().__init__(families or (gauge(),), SNAPSHOT, DUE_AT)
        self.made: list[Variant] = []
        self._meeting = meeting

    def _make(self, variant: Variant) -> bytes:
        self.made.append(variant)
        if self._meeting is not None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self._meeting.wait(timeout=0.2)
        return super()._make(variant)


class Samples(Sequence[Any]):
    """The samples of a family that count how often they are gone through."""

    def __init__(self, samples: Sequence[Any]) -> None:
        """Begin at 0."""
        self._samples = samples
        self.readings = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        """Return one of them."""
        return self._samples[index]

    def __iter__(self) -> Iterator[Any]:
        """Go through all of them, once more."""
        self.readings += 1
        return iter(self._samples)


def test_content_types() -> None:
    """The formats have the content types that Prometheus knows them by."""
    assert {
        "TEXT": "text/plain; version=0.0.4; charset=utf-8",
        "OPENMETRICS": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    } == {format_.name: format_.value for format_ in Format}


def test_text_format() -> None:
    """The text format has help, type and samples, family by family in the given order."""
    body = exposition(gauge("b"), gauge("a")).encode(TEXT)

    assert body.decode() == (
        "# HELP b Whether it works.\n# TYPE b gauge\nb 1.0\n"
        "# HELP a Whether it works.\n# TYPE a gauge\na 1.0\n"
    )


def test_openmetrics_format() -> None:
    """OpenMetrics has the same, and says where it ends."""
    body = exposition().encode(OPENMETRICS)

    expected = "# HELP gatewayz_up Whether it works.\n# TYPE gatewayz_up gauge\ngatewayz_up 1.0\n# EOF\n"
    assert expected == body.decode()


@pytest.mark.parametrize(
    ("compressed", "plain"), [(TEXT_GZIP, TEXT), (OPENMETRICS_GZIP, OPENMETRICS)], ids=["text", "OpenMetrics"]
)
def test_gzip(compressed: Variant, plain: Variant) -> None:
    """A compressed body is the plain one when decompressed, and smaller."""
    many = exposition(*(gauge(f"gatewayz_{number}") for number in range(50)))

    body = many.encode(compressed)

    assert many.encode(plain) == gzip.decompress(body)
    assert len(body) < len(many.encode(plain)) / 2


def test_gzip_holds_no_time() -> None:
    """The same families give the same compressed bytes at any time."""
    assert b"\0\0\0\0" == exposition().encode(TEXT_GZIP)[4:8]


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_encoded_once(variant: Variant) -> None:
    """A body is made once, and is the same object for everybody who asks."""
    fresh = Counted()

    first = fresh.encode(variant)

    assert first is fresh.encode(variant)
    assert first is fresh.encoded(variant)
    assert 1 == fresh.made.count(variant)


def test_compressed_body_is_made_of_the_plain_one() -> None:
    """Whoever asks for the plain body after the compressed one gets what that was made of."""
    fresh = Counted()

    fresh.encode(TEXT_GZIP)
    fresh.encode(TEXT)

    assert [TEXT_GZIP, TEXT] == fresh.made


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_encoded_by_many_at_once(variant: Variant) -> None:
    """Threads that ask for a body while it is made wait for it, and get the same object."""
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
    """Samples read the same in both formats, so nobody goes through them for the second."""
    samples = Samples(family.samples)
    monkeypatch.setattr(family, "samples", samples)
    fresh = exposition(family)

    for variant in VARIANTS:
        fresh.encode(variant)

    assert 1 == samples.readings


def test_family_that_is_as_it_was() -> None:
    """A family that is equal to that of the exposition before is not encoded again; one that is not, is."""
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
    """Whatever is shared between formats, each body is what prometheus_client makes of the families."""
    family.samples = [*family.samples, family.samples[0]._replace(labels={"b": '\\ \n " ü', "a": ""})]
    registry: Any = type("Registry", (), {"collect": lambda self: [family, gauge("z")]})()

    bodies = [exposition(family, gauge("z")).encode(variant) for variant in (TEXT, OPENMETRICS)]

    assert [encode_text(registry), encode_openmetrics(registry)] == bodies


def test_nothing_is_ready_at_first() -> None:
    """Asking what is ready makes nothing."""
    fresh = Counted()

    assert [None] * 4 == [fresh.encoded(variant) for variant in VARIANTS]
    assert [] == fresh.made


def test_asked() -> None:
    """What scrapers asked for is noted, ready or not; what was encoded unasked is not."""
    fresh = exposition()
    assert frozenset() == fresh.asked

    fresh.encode(TEXT)
    fresh.encode(TEXT_GZIP)
    fresh.encoded(TEXT)
    fresh.encoded(OPENMETRICS_GZIP)
    fresh.encoded(TEXT)

    assert {TEXT, OPENMETRICS_GZIP} == fresh.asked


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
    """An exposition is overdue when its time and the grace to replace it have passed."""
    assert 60.0 == GRACE_SECONDS
    assert overdue is exposition().is_overdue(age)


def test_knows_its_snapshot() -> None:
    """An exposition keeps the snapshot that it was made of, and when it is due."""
    fresh = exposition()

    assert fresh.snapshot is SNAPSHOT
    assert DUE_AT == fresh.due_at


def test_families_are_those_at_the_beginning() -> None:
    """Whoever changes the list of families afterwards changes no body."""
    families: list[Metric] = [gauge("a")]
    fresh = Exposition(families, SNAPSHOT, DUE_AT)

    families.append(gauge("b"))

    assert b"TYPE b" not in fresh.encode(TEXT)


def test_variants_are_values() -> None:
    """Two variants of the same format and encoding are the same key, and cannot be changed."""
    variant: Any = Variant(Format.TEXT, gzip=True)

    assert TEXT_GZIP == variant
    assert hash(TEXT_GZIP) == hash(variant)
    with pytest.raises(dataclasses.FrozenInstanceError):
        variant.gzip = False


def test_published() -> None:
    """The exposition in force is the last that was put there."""
    first, second = exposition(), exposition()
    published = Published(first)
    assert published.current is first

    published.current = second

    assert published.current is second
