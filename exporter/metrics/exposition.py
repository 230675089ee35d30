"""Expositions: the metrics of one collection, encoded for Prometheus on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics

from exporter.metrics.compression import deflate, gzip
from exporter.model.snapshot import Snapshot

GRACE_SECONDS = 60.0
"""Time to replace an exposition; 10,000 providers on a busy machine took more than ten seconds."""
CHUNK_BYTES = 65_536
"""Smaller families are compressed together: deflate looks back half as far."""


class Format(Enum):
    """A format of the exposition; the value is its content type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = CONTENT_TYPE_LATEST


ENCODERS: Mapping[Format, Callable[[CollectorRegistry], bytes]] = MappingProxyType(
    {Format.TEXT: encode_text, Format.OPENMETRICS: encode_openmetrics}
)
ENDS: Mapping[Format, bytes] = MappingProxyType({Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"})
"""Trailer after the last family."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A format and encoding that scrapers can request."""

    format: Format
    gzip: bool


class Exposition:
    """The metric families of one collection; encodes each variant at most once; thread-safe."""

    def __init__(
        self,
        families: Sequence[Metric],
        snapshot: Snapshot,
        due_at: float,
        previous: Exposition | None = None,
    ) -> None:
        """Create an exposition.

        Args:
            families: Metric families, in order.
            snapshot: Source of the values.
            due_at: Age, by the clock, at which the poll loop must replace this exposition.
            previous: Exposition that this one replaces. Lines of unchanged families are reused, and so are
                compressed chunks of them.
        """
        self.snapshot = snapshot
        self.due_at = due_at
        earlier = {part.family.name: part for part in previous._parts} if previous is not None else {}
        self._parts: tuple[_Part, ...] = tuple(_part(family, earlier.get(family.name)) for family in families)
        self._chunks = tuple(_chunks(self._parts))
        unchanged = set(self._chunks)
        # A copy: a scrape may compress a chunk of the previous exposition meanwhile.
        known = previous._deflated.copy() if previous is not None else {}
        self._deflated: dict[tuple[Format, _Chunk], bytes] = {
            key: data for key, data in known.items() if key[1] in unchanged
        }
        self._bodies: dict[Variant, bytes] = {}
        self._requested: set[Variant] = set()
        self._lock = threading.RLock()

    @property
    def requested(self) -> frozenset[Variant]:
        """The variants that scrapers have requested."""
        return frozenset(self._requested)

    def is_overdue(self, age: float) -> bool:
        """Return whether the replacement is overdue, so that the poll loop must hang or be dead."""
        return age >= self.due_at + GRACE_SECONDS

    def encoded(self, variant: Variant) -> bytes | None:
        """Return the body if it is encoded, and record the request; never blocks."""
        self._requested.add(variant)
        return self._bodies.get(variant)

    def encode(self, variant: Variant) -> bytes:
        """Return the body; encode it on the first call. Concurrent calls wait for the same body."""
        with self._lock:
            if variant not in self._bodies:
                self._bodies[variant] = self._encode(variant)
            return self._bodies[variant]

    def _encode(self, variant: Variant) -> bytes:
        format_ = variant.format
        if not variant.gzip:
            return b"".join(_lines_of(self._parts, format_)) + ENDS[format_]
        chunks = [self._compressed(format_, chunk) for chunk in self._chunks]
        return gzip(self.encode(Variant(format_, gzip=False)), (*chunks, deflate(ENDS[format_])))

    def _compressed(self, format_: Format, chunk: _Chunk) -> bytes:
        key = (format_, chunk)
        if key not in self._deflated:
            self._deflated[key] = deflate(b"".join(_lines_of(chunk, format_)))
        return self._deflated[key]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A family and its encoded lines: metadata lines depend on the format, samples do not.

    It equals only itself: an unchanged family keeps its part.
    """

    family: Metric
    """It may have lost its samples since."""
    count: int
    """Samples that it had."""
    heads: Mapping[Format, bytes]
    samples: bytes


_Chunk = tuple[_Part, ...]


class _Family(CollectorRegistry):
    """A registry with one family, as input for the encoders."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def _part(family: Metric, earlier: _Part | None) -> _Part:
    """Encode a metric family, reusing unchanged lines of the previous exposition.

    Samples are encoded in the text format, whose encoder is much faster than that of OpenMetrics.
    """
    if earlier is not None and _is_unchanged(family, earlier):
        return earlier
    head = _without_samples(family)
    if earlier is not None and _without_samples(earlier.family) == head:
        heads = earlier.heads
    else:
        heads = MappingProxyType({format_: _lines(head, format_) for format_ in Format})
    samples = _lines(family, Format.TEXT).removeprefix(heads[Format.TEXT])
    return _Part(family, len(family.samples), heads, samples)


def _is_unchanged(family: Metric, earlier: _Part) -> bool:
    return earlier.family is family or (len(family.samples) == earlier.count and earlier.family == family)


def _chunks(parts: Iterable[_Part]) -> Iterator[_Chunk]:
    """Yield all parts in order: a large one alone, small ones together."""
    chunk: list[_Part] = []
    size = 0
    for part in parts:
        if chunk and size + len(part.samples) > CHUNK_BYTES:
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(part)
        size += len(part.samples)
    yield tuple(chunk)


def _lines_of(parts: Iterable[_Part], format_: Format) -> Iterator[bytes]:
    for part in parts:
        yield part.heads[format_]
        yield part.samples


def _without_samples(family: Metric) -> Metric:
    return Metric(family.name, family.documentation, family.type, family.unit)


def _lines(family: Metric, format_: Format) -> bytes:
    return ENCODERS[format_](_Family(family)).removesuffix(ENDS[format_])


class Published:
    """Holds the current exposition: the poll loop replaces it, the HTTP routes read it."""

    def __init__(self, exposition: Exposition) -> None:
        """Start with an exposition without data."""
        self.current = exposition
