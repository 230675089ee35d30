"""One collection of the metrics, and the bodies that are encoded from it for Prometheus."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as encode_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as encode_openmetrics

from exporter.model.snapshot import Snapshot

GRACE_SECONDS = 60.0
"""Time that replacing an exposition may take: 10,000 providers on a busy machine took more than ten."""
GZIP_LEVEL = 6


class Format(Enum):
    """A format of the exposition; the value is its content type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = CONTENT_TYPE_LATEST


ENCODERS: Mapping[Format, Callable[[CollectorRegistry], bytes]] = MappingProxyType(
    {Format.TEXT: encode_text, Format.OPENMETRICS: encode_openmetrics}
)
ENDS: Mapping[Format, bytes] = MappingProxyType({Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"})
"""What comes after the last family."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What a scraper can ask for."""

    format: Format
    gzip: bool


class Exposition:
    """The families of one collection; bodies are encoded at most once each, from any thread."""

    def __init__(
        self,
        families: Sequence[Metric],
        snapshot: Snapshot,
        due_at: float,
        before: Exposition | None = None,
    ) -> None:
        """Keep what was collected.

        Args:
            families: The metric families, in order.
            snapshot: The values that they were made of.
            due_at: Age, by the clock, at which the poller has to replace this.
            before: The one that this replaces; the lines of families that are as they were are its.
        """
        self.snapshot = snapshot
        self.due_at = due_at
        earlier = {part.family.name: part for part in before._parts} if before is not None else {}
        self._parts: tuple[_Part, ...] = tuple(_part(family, earlier.get(family.name)) for family in families)
        self._bodies: dict[Variant, bytes] = {}
        self._asked: set[Variant] = set()
        self._encoding = threading.RLock()

    @property
    def asked(self) -> frozenset[Variant]:
        """The variants that scrapers have asked for."""
        return frozenset(self._asked)

    def is_overdue(self, age: float) -> bool:
        """Tell whether this was not replaced in time, so that the poller must hang or be dead."""
        return age >= self.due_at + GRACE_SECONDS

    def encoded(self, variant: Variant) -> bytes | None:
        """Return a body that is ready, and note that it was asked for; never blocks."""
        self._asked.add(variant)
        return self._bodies.get(variant)

    def encode(self, variant: Variant) -> bytes:
        """Return a body, and make it if nobody has yet; whoever asks meanwhile waits for the same one."""
        with self._encoding:
            if variant not in self._bodies:
                self._bodies[variant] = self._make(variant)
            return self._bodies[variant]

    def _make(self, variant: Variant) -> bytes:
        if variant.gzip:
            return gzip.compress(self.encode(Variant(variant.format, gzip=False)), GZIP_LEVEL, mtime=0)
        lines = (lines for part in self._parts for lines in (part.heads[variant.format], part.samples))
        return b"".join(lines) + ENDS[variant.format]


@dataclass(frozen=True, slots=True)
class _Part:
    """A family and its lines: help and type differ from format to format, samples do not."""

    family: Metric
    heads: Mapping[Format, bytes]
    samples: bytes


class _Family(CollectorRegistry):
    """The one thing that the encoders need of a registry: to give out a family."""

    def __init__(self, family: Metric) -> None:
        super().__init__()
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def _part(family: Metric, earlier: _Part | None) -> _Part:
    """Encode a family, as far as it is another one than it was.

    Of the two encoders the one for the text format is far the faster.
    """
    if earlier is not None and earlier.family == family:
        return earlier
    head = _without_samples(family)
    if earlier is not None and _without_samples(earlier.family) == head:
        heads = earlier.heads
    else:
        heads = MappingProxyType({format_: _lines(head, format_) for format_ in Format})
    return _Part(family, heads, _lines(family, Format.TEXT).removeprefix(heads[Format.TEXT]))


def _without_samples(family: Metric) -> Metric:
    return Metric(family.name, family.documentation, family.type, family.unit)


def _lines(family: Metric, format_: Format) -> bytes:
    return ENCODERS[format_](_Family(family)).removesuffix(ENDS[format_])


class Published:
    """The exposition in force: the poller replaces it, the web side reads it."""

    def __init__(self, exposition: Exposition) -> None:
        """Begin with the exposition of an exporter that has not polled yet."""
        self.current = exposition
